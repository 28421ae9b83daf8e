"""What is made in the cache is whole under its final name, or not there."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from host_tools import cache


def test_content_is_made_once_and_kept(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("whole")

    home = tmp_path / "thing"
    assert cache.ensure(home, make, "makes it") == home
    assert cache.ensure(home, make, "makes it") == home
    assert len(made) == 1
    assert (home / "file").read_text() == "whole"


def test_failure_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError):
        cache.ensure(tmp_path / "thing", fail, "makes it")
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


def test_callers_at_the_same_time_wait_for_the_first(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.2)

    callers = [
        threading.Thread(target=cache.ensure, args=(tmp_path / "thing", make, "makes it")) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(made) == 1


def test_killed_maker_leaves_nothing_that_the_next_one_does_not_remove(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom host_tools import cache\n"
        "def make(folder):\n"
        "    (folder / 'file').write_text('half')\n"
        "    print('busy', flush=True)\n"
        "    time.sleep(60)\n"
        "cache.ensure(Path(sys.argv[1]), make, 'makes it')\n"
    )
    home = tmp_path / "thing"
    root = Path(cache.__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "busy\n"
        os.kill(maker.pid, signal.SIGKILL)
    assert not home.exists()
    assert list(tmp_path.glob("thing.making-*"))

    def make(folder: Path) -> None:
        (folder / "file").write_text("whole")

    cache.ensure(home, make, "makes it")
    assert (home / "file").read_text() == "whole"
    assert not list(tmp_path.glob("thing.making-*"))


def test_hash_depends_on_every_file_and_on_where_one_ends(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    first = cache.hash_files(one, two)
    assert cache.hash_files(one, two) == first
    one.write_bytes(b"a")
    two.write_bytes(b"bc")
    assert cache.hash_files(one, two) != first


def test_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EESM_CACHE", str(tmp_path / "own"))
    assert cache.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("EESM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "eesm"
