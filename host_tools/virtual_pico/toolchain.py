"""A compiler for the RP2040's Cortex-M0+ from Debian's packages, without root and movable.

Debian's gcc-arm-none-eabi, binutils and newlib are unpacked into a folder; what a Cortex-M0+ has no use for
is left out (815 MB become 107). Small wrappers in `bin/` tell each program where the folder's libraries are.

Standard library only.
"""

import os
import shutil
import tempfile
from pathlib import Path

from host_tools import cache, debian

# Older than what most machines run, so that its programs find a libc that is new enough.
SUITE = "bookworm"
PACKAGES = (
    "gcc-arm-none-eabi",
    "binutils-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libnewlib-dev",
    # What cc1 is linked with besides the libc.
    "libisl23",
    "libmpc3",
    "libmpfr6",
    "libgmp10",
    "libzstd1",
    "zlib1g",
)
TRIPLE = "arm-none-eabi"
# The one multilib of a Cortex-M0+, in gcc's and in newlib's folder of variants.
VARIANT = "v6-m"

_WRAPPER = """\
#!/bin/sh
home=$(dirname "$(readlink -f "$0")")/..
export EESM_NEWLIB="$home/usr/include/newlib"
export LD_LIBRARY_PATH="$home/libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$home/usr/bin/${0##*/}" "$@"
"""
_EMPTY_ARCHIVE = b"!<arch>\n"


def find_toolchain() -> str:
    """The start of the compiler's and binutils' names: append `gcc`, `objcopy` ... Fetches it if need be.

    Raises DebianError when the packages cannot be fetched.
    """
    key = cache.hash_files(Path(__file__))
    home = cache.cache_folder() / f"{TRIPLE}-{SUITE}-{key}"
    cache.ensure(home, make_toolchain, "fetches the compiler for the RP2040")
    return str(home / "bin" / f"{TRIPLE}-")


def make_toolchain(home: Path) -> None:
    """Fetches and unpacks the compiler into the empty folder `home`."""
    cache.report("fetching the compiler for the RP2040 (once, about 90 MB)")
    with tempfile.TemporaryDirectory(prefix="apt-", dir=home.parent) as apt:
        files = debian.fetch(
            PACKAGES,
            Path(apt),
            closure=False,
            report=cache.report,
            suite=SUITE,
            architecture=debian.find_architecture(),
        )
        cache.report("unpacking the compiler")
        debian.unpack(files, home)
    (home / "packages.txt").write_text("".join(f"{file.name}\n" for file in files))
    _gather_libraries(home)
    _remove_other_variants(home)
    _join_newlib(home)
    _write_wrappers(home)


def _gather_libraries(home: Path) -> None:
    """Moves the shared libraries into one folder, whatever the machine's architecture calls theirs."""
    libraries = home / "libraries"
    libraries.mkdir()
    for folder in (home / "usr/lib", home / "lib"):
        for file in sorted(folder.glob("*/*.so*")):
            # Links are copied as links: each leads to a neighbour.
            shutil.copy2(file, libraries / file.name, follow_symlinks=False)
            file.unlink()


def _remove_other_variants(home: Path) -> None:
    (gcc,) = (home / "usr/lib/gcc" / TRIPLE).glob("[0-9]*")
    newlib = home / "usr/lib" / TRIPLE / "newlib"
    unused = [home / "lib", home / "usr/share", gcc / "lto1", gcc / "plugin", gcc / "arm", newlib / "arm"]
    unused += [gcc / "g++-mapper-server", home / "usr/bin" / f"{TRIPLE}-lto-dump"]
    for variants in (gcc / "thumb", newlib / "thumb"):
        unused += [folder for folder in variants.iterdir() if folder.name != VARIANT]
    unused += gcc.glob("lib*.a")
    unused += newlib.glob("lib*.a")
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _join_newlib(home: Path) -> None:
    """Puts newlib where gcc looks for a target's headers and libraries."""
    target = home / "usr/lib" / TRIPLE
    (target / "lib").symlink_to("newlib")
    (target / "include").symlink_to("../../include/newlib")
    specs = target / "newlib" / "nano.specs"
    text = specs.read_text()
    # gcc's %:getenv joins a variable of the wrapper and a text, so the folder may be moved.
    moved = text.replace("-isystem /usr/include/newlib/nano", "-isystem %:getenv(EESM_NEWLIB /nano)")
    if moved == text:
        raise debian.DebianError(
            f"{specs.name} of newlib is not as expected: it names no /usr/include/newlib."
        )
    specs.write_text(moved)
    # The C++ library is 300 MB and the firmware needs nothing of it, yet the linker asks for it.
    for folder in [path.parent for path in (target / "newlib" / "thumb").rglob("libc.a")]:
        for name in ("libstdc++", "libstdc++_nano", "libsupc++", "libsupc++_nano"):
            (folder / f"{name}.a").write_bytes(_EMPTY_ARCHIVE)


def _write_wrappers(home: Path) -> None:
    (home / "bin").mkdir()
    for program in sorted((home / "usr/bin").glob(f"{TRIPLE}-*")):
        wrapper = home / "bin" / program.name
        wrapper.write_text(_WRAPPER)
        os.chmod(wrapper, 0o755)
