"""Fetches Debian packages into a folder, without root, through the machine's own apt configuration.

No host is named here: the mirror is read from apt, and apt's own settings for proxies and credentials stay
in force. Everything that apt would write is kept in a private folder, so the machine's package state is
neither read nor touched. apt checks the archive's signature and every package's hash.

Standard library only: `make` runs this before anything is installed.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SUITE = "trixie"
ARCHITECTURE = "i386"  # of the desktop interpreter; other callers name theirs
KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/etc/apt/trusted.gpg.d/debian-archive-trixie-stable.gpg",
    "/etc/apt/trusted.gpg.d/debian-archive-trixie-stable.asc",
)

Report = Callable[[str], None]


class DebianError(RuntimeError):
    """A package could not be fetched; the text says why and what can be done."""


def find_mirror() -> str:
    """Address of the Debian archive that this machine's apt uses; EESM_DEBIAN_MIRROR overrides it."""
    override = os.environ.get("EESM_DEBIAN_MIRROR")
    if override:
        return override
    # Works before any `apt-get update`, since it reads only the configured sources.
    listing = _run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
    )
    for line in listing.splitlines():
        fields = line.split()
        # A release with a dash is an updates, security or backports suite, often in an archive of its own.
        if len(fields) == 3 and fields[2] == "main" and "-" not in fields[1]:
            return fields[0]
    raise DebianError(
        "apt has no source with the component `main`; set EESM_DEBIAN_MIRROR to a Debian archive."
    )


def find_keyring() -> str:
    """The machine's keyring of Debian's archive keys."""
    for keyring in KEYRINGS:
        if os.access(keyring, os.R_OK):
            return keyring
    raise DebianError("Debian's archive keyring is missing: install the package debian-archive-keyring.")


def find_architecture() -> str:
    """Debian's name of this machine's architecture, such as amd64."""
    return _run(["dpkg", "--print-architecture"]).strip()


def fetch(
    packages: Sequence[str],
    folder: Path,
    *,
    closure: bool,
    report: Report = print,
    suite: str = SUITE,
    architecture: str = ARCHITECTURE,
) -> list[Path]:
    """Downloads packages of a suite and architecture into `folder`; with `closure` also what they depend on.

    Returns the files. Raises DebianError when there is no apt, no mirror, a bad signature or no such package.
    `folder` belongs to one suite and architecture.
    """
    apt, archives = _prepare(folder, suite, architecture, "deb")
    report(f"reading the package index of Debian {suite} ({architecture}, about 10 MB)")
    _run([*apt, "update", "--error-on=any"])
    started = time.monotonic()
    if closure:
        install = [*apt, "install", "--yes", "--no-install-recommends"]
        # The list is asked for while the archive folder is empty: apt leaves out what it already holds.
        uris = _parse_uris(_run([*install, "--print-uris", *packages]))
        size = sum(size for _, size in uris)
        report(f"downloading {len(uris)} packages ({size / 1e6:.1f} MB)")
        _run([*install, "--download-only", *packages])
        files = [archives / name for name, _ in uris]
    else:
        report(f"downloading {', '.join(packages)}")
        _run([*apt, "download", *packages], cwd=archives)
        files = sorted(archives.glob("*.deb"))
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise DebianError(f"apt ended well but left out: {', '.join(missing) or ', '.join(packages)}")
    report(f"downloaded in {time.monotonic() - started:.1f} s")
    return files


def fetch_source(
    packages: Sequence[str], folder: Path, *, report: Report = print, suite: str = SUITE
) -> list[Path]:
    """Downloads source packages of a suite into `folder`: a .dsc, the original archive and Debian's changes.

    apt checks the .dsc's entry in the signed index and the hash of each file. Raises DebianError.
    """
    apt, archives = _prepare(folder, suite, ARCHITECTURE, "deb-src")
    report(f"reading the source index of Debian {suite} (about 10 MB)")
    _run([*apt, "update", "--error-on=any"])
    report(f"downloading the sources of {', '.join(packages)}")
    started = time.monotonic()
    _run([*apt, "source", "--download-only", *packages], cwd=archives)
    files = sorted(file for file in archives.iterdir() if file.is_file() and file.name != "lock")
    report(
        f"downloaded {sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
        f" in {time.monotonic() - started:.1f} s"
    )
    return files


def unpack(files: Sequence[Path], root: Path) -> None:
    """Unpacks packages over each other into `root`. No maintainer script runs."""
    for file in files:
        _run(["dpkg-deb", "-x", str(file), str(root)])


def _prepare(folder: Path, suite: str, architecture: str, kind: str) -> tuple[list[str], Path]:
    """The start of an apt-get command line that works in `folder` alone, and where it puts files."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DebianError(f"{tool} is not on this machine, so Debian's packages cannot be fetched.")
    folder = folder.resolve()
    configuration = _write_configuration(folder, suite, architecture, kind)
    return ["apt-get", "-q", "-c", str(configuration)], folder / "cache" / "archives"


def _write_configuration(folder: Path, suite: str, architecture: str, kind: str) -> Path:
    for name in ("state/lists/partial", "cache/archives/partial", "log", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()
    sources = folder / "etc" / "sources.list"
    options = (
        f"target=Packages pdiffs=no arch={architecture}" if kind == "deb" else "target=Sources pdiffs=no"
    )
    sources.write_text(f"{kind} [{options} signed-by={find_keyring()}] {find_mirror()} {suite} main\n")
    configuration = folder / "private.conf"
    # Read after the machine's own files, so these win; credentials, proxies, certificates stay as configured.
    configuration.write_text(f"""
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root"; // apt's own user may not enter the home folder of whoever runs this
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "archives/";
Dir::Log "{folder}/log";
Dir::Etc::sourcelist "{sources}";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
""")
    return configuration


def _parse_uris(listing: str) -> list[tuple[str, int]]:
    """(file name, bytes) of each package in the output of `--print-uris`."""
    return [(name, int(size)) for name, size in re.findall(r"^'\S+' (\S+\.deb) (\d+)", listing, re.MULTILINE)]


def _run(command: list[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DebianError(f"{command[0]} could not run: {error}") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line[:2] in ("E:", "W:", "Er")]
        said = "\n  ".join(lines[-6:] or (done.stdout + done.stderr).splitlines()[-6:])
        raise DebianError(f"{command[0]} failed ({done.returncode}):\n  {said}")
    return done.stdout
