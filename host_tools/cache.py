"""Keeps what was fetched or built in the user's cache folder: whole under its final name, or not at all.

Standard library only: `make` uses this before anything is installed.
"""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """Where fetched programs are kept: EESM_CACHE, or eesm/ in the user's cache folder."""
    chosen = os.environ.get("EESM_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "eesm"


def hash_files(*files: Path) -> str:
    """Eight hex digits that change with the content of any of `files`, for names of what they make."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:8]


def ensure(home: Path, make: Callable[[Path], None], what: str) -> Path:
    """Returns the folder `home`; if it is not there, `make` fills another one, which then takes its name.

    Callers at the same time wait for the first. Whatever ends `make` early leaves nothing under `home`; what
    a killed process left behind is removed by the next one. `what` names the work for those who wait.
    """
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with lock(home.with_name(f"{home.name}.lock"), what):
        if home.is_dir():
            return home
        # Under the lock nobody else makes this one, so any such folder is a dead process's.
        for stale in home.parent.glob(f"{home.name}.making-*"):
            shutil.rmtree(stale, ignore_errors=True)
        making = Path(tempfile.mkdtemp(prefix=f"{home.name}.making-", dir=home.parent))
        try:
            content = making / "content"
            content.mkdir()
            make(content)
            content.rename(home)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return home


@contextlib.contextmanager
def lock(file: Path, what: str) -> Iterator[None]:
    """Holds a lock file; says so if another process, which does `what`, must be waited for."""
    import fcntl  # not on Windows, where the rest of the host tools still works with a real board

    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that {what}")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def report(text: str) -> None:
    """One line of progress on stderr."""
    print(f"eesm: {text}", file=sys.stderr, flush=True)
