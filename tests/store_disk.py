"""A file system whose power goes after so many steps; runs on CPython and on MicroPython.

What survives depends on the kind:

    eager      a folder whose every byte is on the disk as soon as it is written; opening truncates at once
    lazy       a folder whose bytes reach the disk with fsync only, of what was flushed; opening, renames and
               removals at once
    unix       the same on MicroPython, whose flush is fsync too, and which has no other
    littlefs   a file's new content is there when it is flushed or closed, all at once, and not before
"""

KINDS = ("eager", "lazy", "unix", "littlefs")


class Cut(BaseException):
    """The power is gone."""


class File:
    """An open file."""

    def __init__(self, disk, name, mode):
        self.disk, self.name, self.mode = disk, name, mode
        self.content, self.at = b"", 0
        if mode == "wb":
            disk.step()
            if disk.kind != "littlefs":
                disk.kept[name] = b""
                disk.seen[name] = b""
        elif name in disk.seen:
            self.content = disk.seen[name]
        else:
            raise OSError(2, "ENOENT")

    def read(self, limit):
        data = self.content[self.at : self.at + limit]
        self.at += len(data)
        return data

    def seek(self, offset, whence=0):
        self.at = offset + (len(self.content) if whence == 2 else 0)
        return self.at

    def write(self, data):
        for k in range(len(data)):
            self.disk.step()
            self.content += data[k : k + 1]
            if self.disk.kind == "eager":
                self._show()
                self.sync()

    def flush(self):
        self.disk.step()
        self._show()
        if self.disk.kind in ("unix", "littlefs"):
            self.sync()

    def fileno(self):
        return self

    def _show(self):
        self.disk.seen[self.name] = self.content

    def sync(self):
        self.disk.kept[self.name] = self.disk.seen[self.name]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.mode == "wb" and kind is not Cut:
            self.disk.step()
            self._show()
            if self.disk.kind == "littlefs":
                self.sync()


class Disk:
    """Stands in for `open` and `os`; `budget` is how many steps are left."""

    def __init__(self, kind, files=None):
        self.kind = kind
        self.kept = dict(files or {})  # what is there after a power cut
        self.seen = dict(self.kept)  # what is read meanwhile
        self.budget = 1 << 29
        self.steps = 0
        if kind in ("eager", "lazy"):
            self.fsync = self._fsync

    def step(self):
        if self.budget == 0:
            raise Cut()
        self.budget -= 1
        self.steps += 1

    def open(self, name, mode):
        return File(self, name, mode)

    def _fsync(self, file):
        self.step()
        file.sync()

    def rename(self, old, new):
        self.step()
        if old not in self.seen:
            raise OSError(2, "ENOENT")
        for files in (self.seen, self.kept):
            files[new] = files.pop(old)
        self.step()

    def remove(self, name):
        self.step()
        if name not in self.seen:
            raise OSError(2, "ENOENT")
        del self.seen[name], self.kept[name]
        self.step()


def survivors(store, disk, work):
    """(whether it was cut, the disk after `work(Store)`) with the power cut at each step, then without a cut.

    `store` is the module; each time begins with a copy of `disk`.
    """
    budget = 0
    while True:
        copy = Disk(disk.kind, disk.kept)
        copy.budget = budget
        store.open, store.os = copy.open, copy
        made = store.Store("board")
        try:
            made.read()
            work(made)
        except Cut:
            yield True, Disk(disk.kind, copy.kept)
        else:
            yield False, Disk(disk.kind, copy.kept)
            return
        budget += 1


def read(store, disk):
    """What a board finds when it boots with this disk: (values by label, names of damaged slots)."""
    store.open, store.os = disk.open, disk
    made = store.Store("board")
    found = made.read()
    return (None if found is None else dict(found[3])), made.damaged


def check_every_cut(store, disk, unit, values):
    """Write `values` with a cut at every step; returns how many cuts there were.

    After each the old set or the new one is there, none is damaged, and another write works.
    """
    old = read(store, disk)
    new = {store.label_of(name): values[name] for name in values}
    seen, cuts = set(), 0
    for cut, left in survivors(store, disk, lambda made: made.write(unit, values)):
        found = read(store, left)
        cuts += cut
        assert found in (old, (new, [])) if cut else found == (new, []), (cuts, found, left.kept)
        if cut:
            seen.add(found == (new, []))
        made = store.Store("board")
        made.read()
        made.write(unit, {"J": 9.0})
        assert read(store, left) == ({"J kg.m2": 9.0}, []), (cuts, left.kept)
    assert len(seen) == 2 or old == (new, [])
    return cuts
