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
ARCHITECTURE = "i386"
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


def fetch(packages: Sequence[str], folder: Path, *, closure: bool, report: Report = print) -> list[Path]:
    """Downloads packages of SUITE for ARCHITECTURE into `folder`; with `closure` also what they depend on.

    Returns the files. Raises DebianError when there is no apt, no mirror, a bad signature or no such package.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DebianError(f"{tool} is not on this machine, so Debian's packages cannot be fetched.")
    folder = folder.resolve()
    configuration = _write_configuration(folder)
    apt = ["apt-get", "-q", "-c", str(configuration)]

    report(f"reading the package index of Debian {SUITE} ({ARCHITECTURE}, about 10 MB)")
    _run([*apt, "update", "--error-on=any"])
    archives = folder / "cache" / "archives"
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


def unpack(files: Sequence[Path], root: Path) -> None:
    """Unpacks packages over each other into `root`. No maintainer script runs."""
    for file in files:
        _run(["dpkg-deb", "-x", str(file), str(root)])


def _write_configuration(folder: Path) -> Path:
    for name in ("state/lists/partial", "cache/archives/partial", "log", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()
    sources = folder / "etc" / "sources.list"
    sources.write_text(
        f"deb [target=Packages pdiffs=no arch={ARCHITECTURE} signed-by={find_keyring()}]"
        f" {find_mirror()} {SUITE} main\n"
    )
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
APT::Architecture "{ARCHITECTURE}";
APT::Architectures {{ "{ARCHITECTURE}"; }};
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
