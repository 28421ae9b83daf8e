"""Finds a Chromium without a screen, for tests and pictures of the page; fetches Debian's when there is none.

`python -m host_tools.scope.chromium` prints where it is.  Debian's is unpacked without root into the
user's cache folder, with the fonts that the pictures in `docs/` are drawn with; only libc is the machine's.

Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from host_tools import cache, debian
from host_tools.errors import MISSING, ToolError

PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core", "fonts-inter", "fonts-jetbrains-mono")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PROGRAM = "usr/lib/chromium/chromium-headless-shell"
# A libc belongs to its loader, which is the machine's.
LEFT_OUT = ("libc6_", "libc-bin_")
# Folders of libraries that Debian's programs find by absolute path, which here is another one.
PRIVATE = ("nss", "pulseaudio")
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class ChromiumError(ToolError):
    """There is no Chromium, and none could be fetched."""

    code = MISSING


@dataclass(frozen=True)
class Chromium:
    """A program, and what its environment must hold beside the usual."""

    program: str
    environment: dict[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """What `--version` says.  Raises ChromiumError when it does not run here."""
        try:
            done = subprocess.run(
                [self.program, "--no-sandbox", "--version"],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChromiumError(f"{self.program} does not run here: {error}.") from error
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or [f"code {done.returncode}"]
            raise ChromiumError(f"{self.program} does not run here: {said[0]}")
        return done.stdout.strip()


def find_chromium(fetched: bool = False) -> Chromium:
    """The one that CHROMIUM names, else the machine's, else Debian's; with `fetched` always Debian's.

    Raises ChromiumError.
    """
    named = os.environ.get("CHROMIUM")
    if named and not fetched:
        found = Chromium(named)
        found.version()
        return found
    for name in () if fetched else NAMES:
        path = shutil.which(name)
        if path:
            return Chromium(path)
    return fetch_chromium()


def fetch_chromium() -> Chromium:
    """Debian's, of this machine's own suite, unpacked into the cache folder once.  Raises ChromiumError."""
    suite = _suite()
    home = cache.cache_folder() / f"chromium-{suite}-{cache.hash_files(Path(__file__))}"

    def make(content: Path) -> None:
        cache.report("fetching Chromium from Debian (once, about 160 MB)")
        with tempfile.TemporaryDirectory(prefix="eesm-chromium-") as folder:
            files = debian.fetch(
                PACKAGES,
                Path(folder),
                closure=True,
                report=cache.report,
                suite=suite,
                architecture=debian.find_architecture(),
            )
            debian.unpack([file for file in files if not file.name.startswith(LEFT_OUT)], content)
        _use(content).version()

    try:
        cache.ensure(home, make, "fetches Chromium")
    except debian.DebianError as error:
        raise ChromiumError(
            f"Chromium could not be fetched: {error}", "install chromium, or name one: CHROMIUM=/path"
        ) from error
    return _use(home)


def _suite() -> str:
    """Name of the Debian that this machine runs: its libc must fit."""
    said = {}
    try:
        for line in Path("/etc/os-release").read_text().splitlines():
            name, _, value = line.partition("=")
            said[name] = value.strip('"')
    except OSError:
        pass
    if said.get("ID") != "debian" or not said.get("VERSION_CODENAME"):
        raise ChromiumError(
            f"There is no Chromium here, and none is fetched for {said.get('PRETTY_NAME', sys.platform)}.",
            "install chromium, or name one: CHROMIUM=/path",
        )
    return said["VERSION_CODENAME"]


def _use(root: Path) -> Chromium:
    folders = sorted(
        {file.parent for pattern in ("usr/lib/*", "lib/*") for file in root.glob(f"{pattern}/*.so*")}
    )
    folders += [folder / name for folder in folders for name in PRIVATE if (folder / name).is_dir()]
    fonts = root / "fonts.conf"
    fonts.write_text(FONTS.format(fonts=root / "usr/share/fonts", cache=root / "fontcache"))
    return Chromium(
        str(root / PROGRAM),
        {"LD_LIBRARY_PATH": os.pathsep.join(map(str, folders)), "FONTCONFIG_FILE": str(fonts)},
    )


def main() -> int:
    """Fetches if need be and prints the program."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.scope.chromium")
    parser.add_argument("--fetched", action="store_true", help="Debian's, even when the machine has one")
    arguments = parser.parse_args()
    try:
        found = find_chromium(arguments.fetched)
        print(f"{found.program}: {found.version()}")
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
