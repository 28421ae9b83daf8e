"""The slots of kept settings: whole or nothing, whatever the power does and whatever the bytes are."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm import parameters, store
from tests import store_disk
from tests.store_disk import KINDS, Cut, Disk
from tests.test_repository import ROOT

VALUES = {"R_s": 0.05, "bandwidth_speed": 12.0, "host_timeout": 1.5}
MORE = {**VALUES, "i_trip": 33.25, "encoder_offset": 0.125}

values_of = st.dictionaries(
    st.sampled_from(sorted(parameters.SETTINGS)),
    st.floats(allow_nan=False),
    max_size=len(parameters.SETTINGS),
)


@pytest.fixture
def real_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives the module its own files back after a test that took them away."""
    before = store.os
    yield
    store.os = before
    del store.open  # pyright: ignore[reportAttributeAccessIssue]


def slot(sequence: int, values: dict[str, float], unit: str = "a") -> bytes:
    return b"".join(store.pieces(sequence, unit, values))


def older_schema(sequence: int) -> bytes:
    """A slot that firmware with other settings wrote: one that is gone, one in another unit of measure."""
    body = store.text_of("a")
    for label, value in (("R_s Ohm", 0.07), ("bandwidth_gone Hz", 5.0), ("host_timeout ms", 300.0)):
        body += store.text_of(label) + struct.pack("<d", value)
    data = struct.pack(store.HEADER, store.MAGIC, store.FORMAT, len(body) + 4, sequence, 0x1234) + body
    return data + struct.pack("<I", crc32(data))


def files(*slots: bytes | None) -> dict[str, bytes]:
    return {f"board/parameters.{n}": content for n, content in enumerate(slots) if content is not None}


# --- power cuts ---------------------------------------------------------------------------------

BEFORE = {
    "nothing": files(),
    "one slot": files(slot(1, VALUES)),
    "the other slot": files(None, slot(4, VALUES)),
    "two slots": files(slot(7, VALUES), slot(6, MORE)),
    "two slots, the second newer": files(slot(7, MORE), slot(8, VALUES)),
    "sequence begins again": files(slot(0x3FFFFFFF, MORE), slot(0, VALUES)),
    "a cut save beside": {**files(slot(1, VALUES)), "board/parameters.new": slot(2, MORE)[:50]},
    "an older schema": files(older_schema(3), slot(2, MORE)),
    "an older schema alone": files(older_schema(1)),
    "another unit's": files(slot(3, VALUES, "brisk"), slot(2, MORE)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_cut_at_any_step_of_a_save_leaves_the_old_or_the_new_set(
    kind: str, before: str, real_files: None
) -> None:
    cuts = store_disk.check_every_cut(store, Disk(kind, BEFORE[before]), "a", MORE)
    assert cuts > len(slot(1, MORE)), "a cut at each byte and each operation"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [name for name in BEFORE if name != "nothing"])
def test_a_cut_at_any_step_of_an_erase_leaves_the_old_set_or_nothing(
    kind: str, before: str, real_files: None
) -> None:
    disk = Disk(kind, BEFORE[before])
    old = store_disk.read(store, disk)
    steps = 0
    for cut, left in store_disk.survivors(store, disk, lambda made: made.erase()):
        found = store_disk.read(store, left)
        assert found in (old, (None, []))
        assert cut or (found == (None, []) and not left.kept)
        steps += cut
    assert steps == 3 + len(BEFORE[before]), "before and after each removal"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "before", [files(b"EESM", slot(5, VALUES)), files(slot(5, VALUES), b""), files(b"x", b"y"), files(b"x")]
)
def test_a_cut_in_a_save_over_a_damaged_slot_hurts_nothing_that_is_whole(
    kind: str, before: dict[str, bytes], real_files: None
) -> None:
    disk = Disk(kind, before)
    old, damaged = store_disk.read(store, disk)
    assert damaged
    new = {store.label_of(name): value for name, value in MORE.items()}
    for cut, left in store_disk.survivors(store, disk, lambda made: made.write("a", MORE)):
        values, still = store_disk.read(store, left)
        assert values in (old, new)
        assert cut or (values, still) == (new, [])


def test_ten_thousand_random_cuts_in_random_saves(real_files: None) -> None:
    rng = random.Random("power cuts")
    names = sorted(parameters.SETTINGS)
    cuts = news = 0
    for kind in KINDS:
        files: dict[str, bytes] = {}
        held: tuple[dict[str, float] | None, list[str]] = (None, [])
        for _ in range(2550):
            if rng.random() < 0.1:  # older firmware wrote last: the next save is a migration
                files = {"board/parameters.0": older_schema(rng.randrange(1 << 30))}
                held = store_disk.read(store, Disk(kind, files))
                assert held[0] and held[1] == []
            disk = Disk(kind, files)
            store.open, store.os = disk.open, disk  # pyright: ignore[reportAttributeAccessIssue]
            made = store.Store("board")
            # Saves of one power-on, the last of which is cut.
            while True:
                found = made.read()
                assert ((dict(found[3]) if found else None), made.damaged) == held
                values = {
                    name: rng.uniform(-1e3, 1e3) for name in rng.sample(names, rng.randrange(len(names)))
                }
                new = {store.label_of(name): value for name, value in values.items()}
                erases = rng.random() < 0.05
                disk.budget = (
                    rng.randrange(7) if erases else rng.randrange(int(1.1 * len(slot(1, values))) + 8)
                )
                try:
                    if erases:
                        made.erase()
                    else:
                        made.write("a", values)
                except Cut:
                    break
                held = (None, []) if erases else (new, [])
            cuts += 1
            files = disk.kept
            after = store_disk.read(store, Disk(kind, files))
            assert after in (held, (None, []) if erases else (new, []))
            news += after != held
            held = after
    assert cuts >= 10_000
    assert 10 < news < 0.5 * cuts, "cuts on both sides of the moment that counts"


def test_a_full_disk_leaves_the_old_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = store.Store(str(tmp_path))
    made.write("a", VALUES)

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:20])
            raise OSError(28, "No space left on device")

    real = open
    monkeypatch.setattr(
        store,
        "open",
        lambda name, mode: Full(real(name, mode)) if mode == "wb" else real(name, mode),
        raising=False,
    )
    with pytest.raises(OSError, match="No space"):
        made.write("a", MORE)
    monkeypatch.undo()
    found = made.read()
    assert found is not None and len(found[3]) == len(VALUES)
    made.write("a", MORE)
    found = store.Store(str(tmp_path)).read()
    assert found is not None and len(found[3]) == len(MORE)


def test_what_reads_back_as_something_else_never_becomes_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.Store(str(tmp_path))
    made.write("a", VALUES)
    real = store.os.fsync
    monkeypatch.setattr(store.os, "fsync", lambda file: (real(file), os.pwrite(file, b"?", 30)))
    with pytest.raises(OSError, match="something else"):
        made.write("a", MORE)
    monkeypatch.undo()
    found = store.Store(str(tmp_path)).read()
    assert found is not None and found[0] == 1


# --- bytes --------------------------------------------------------------------------------------


@given(st.integers(0, 0x3FFFFFFF), st.text(max_size=20), values_of)
def test_a_slot_says_what_was_packed(sequence: int, unit: str, values: dict[str, float]) -> None:
    data = slot(sequence, values, unit)
    found = store.parse(data)
    assert found is not None
    assert found[:3] == (sequence, store.hash_schema(), unit)
    assert dict(found[3]) == {store.label_of(name): value for name, value in values.items()}
    assert len(data) <= store.MAX_SIZE


def test_every_changed_byte_and_every_cut_is_seen() -> None:
    data = slot(5, MORE)
    assert store.parse(data) is not None
    for at in range(len(data)):
        for byte in range(256):
            changed = data[:at] + bytes([byte]) + data[at + 1 :]
            assert (store.parse(changed) is None) == (byte != data[at]), (at, byte)
        assert store.parse(data[:at]) is None
        assert store.parse(data + data[: at + 1]) is None


@given(values_of, st.data())
def test_damage_anywhere_is_seen(values: dict[str, float], data: st.DataObject) -> None:
    whole = slot(5, values)
    at = data.draw(st.integers(0, len(whole) - 1))
    burst = data.draw(st.binary(min_size=1, max_size=4))
    changed = whole[:at] + burst + whole[at + len(burst) :]
    assert store.parse(changed) is None or changed == whole


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused_without_an_error(data: bytes) -> None:
    assert store.parse(data) is None
    # A CRC that is right says nothing about what it covers.
    head = struct.pack(store.HEADER, store.MAGIC, store.FORMAT, len(data) + 4, 1, 0)
    sealed = head + data + struct.pack("<I", crc32(head + data))
    found = store.parse(sealed)
    assert found is None or (found[0] == 1 and all(isinstance(label, str) for label, _ in found[3]))


def test_all_settings_at_once_fit_a_slot() -> None:
    data = slot(1, dict.fromkeys(parameters.SETTINGS, 1.0))
    assert store.parse(data) is not None
    assert len(data) < 0.75 * store.MAX_SIZE


def test_another_format_is_not_taken_for_ours() -> None:
    data = slot(1, VALUES)
    other = data[:4] + struct.pack("<H", store.FORMAT + 1) + data[6:-4]
    assert store.parse(other + struct.pack("<I", crc32(other))) is None


def test_a_slot_that_cannot_be_read_is_damaged_and_one_that_is_not_there_is_not(tmp_path: Path) -> None:
    made = store.Store(str(tmp_path))
    assert made.read() is None and made.damaged == []
    (tmp_path / "parameters.0").mkdir()
    assert made.read() is None and made.damaged == ["parameters.0"]
    (tmp_path / "parameters.1").write_bytes(slot(1, VALUES) + bytes(store.MAX_SIZE))
    assert made.read() is None and made.damaged == ["parameters.0", "parameters.1"]
    assert store.Store(str(tmp_path / "nowhere")).read() is None


def test_the_schema_follows_names_and_units(monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.hash_schema()
    assert before == store.hash_schema()
    changed = dict(parameters.SETTINGS)
    _, *rest = changed["host_timeout"]
    changed["host_timeout"] = ("ms", *rest)
    monkeypatch.setattr(store, "SETTINGS", changed)
    assert store.hash_schema() != before
    monkeypatch.setattr(store, "SETTINGS", {**parameters.SETTINGS, "new": ("1", 0, 1, "")})
    assert store.hash_schema() != before
    monkeypatch.setattr(store, "SETTINGS", dict(reversed(parameters.SETTINGS.items())))
    assert store.hash_schema() == before, "the order says nothing"


# --- real MicroPython ---------------------------------------------------------------------------

WRITE = """
import sys
sys.path[:0] = [%r, %r]
from eesm import store
made = store.Store(%r)
found = made.read()
print(found, made.damaged, store.hash_schema())
values = dict(found[3])
made.write("a", {"R_s": values["R_s Ohm"] * 3, "J": 1 / 3})
"""

CUTS = """
import sys
sys.path[:0] = [%r, %r]
from eesm import store
from tests import store_disk
from tests.store_disk import Disk, KINDS
old = {"R_s": 0.1}
def slot(sequence, values):
    return b"".join(store.pieces(sequence, "a", values))
count = 0
for kind in KINDS:
    for files in (
        {},
        {"board/parameters.0": slot(1, old)},
        {"board/parameters.0": slot(3, old), "board/parameters.1": slot(2, {})},
        {"board/parameters.1": bytes.fromhex(%r)},
    ):
        count += store_disk.check_every_cut(store, Disk(kind, files), "a", %r)
print(count)
"""


def run_on(micropython: list[str], script: str) -> str:
    done = subprocess.run([*micropython, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.micropython
def test_each_interpreter_reads_what_the_other_one_kept(micropython: list[str], tmp_path: Path) -> None:
    made = store.Store(str(tmp_path))
    made.write("a", {"R_s": 0.1 + 1e-15})
    said = run_on(micropython, WRITE % (str(ROOT), str(ROOT / "firmware"), str(tmp_path)))
    assert said == f"(1, {store.hash_schema()}, 'a', [('R_s Ohm', {0.1 + 1e-15!r})]) [] {store.hash_schema()}"
    found = made.read()
    assert found is not None and found[:3] == (2, store.hash_schema(), "a")
    assert dict(found[3]) == {"R_s Ohm": (0.1 + 1e-15) * 3, "J kg.m2": 1 / 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parameters.0", "parameters.1"]


@pytest.mark.micropython
def test_a_cut_at_any_step_on_micropython(micropython: list[str]) -> None:
    said = run_on(micropython, CUTS % (str(ROOT), str(ROOT / "firmware"), older_schema(5).hex(), MORE))
    assert int(said) > 4 * len(KINDS) * len(slot(1, MORE))


LOOP = """
import sys
sys.path[:0] = [%r]
from eesm import store
made = store.Store(%r)
made.read()
while True:
    n = made.sequence + 1
    made.write("a", {"R_s": n, "J": 2 * n})
    print(made.sequence)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()
"""


@pytest.mark.micropython
@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_a_process_that_is_killed_at_any_moment_leaves_a_whole_set(
    interpreter: str, micropython: list[str], tmp_path: Path
) -> None:
    rng = random.Random(interpreter)
    command = micropython if interpreter == "micropython" else [sys.executable]
    last = 0
    for _ in range(25):
        script = LOOP % (str(ROOT / "firmware"), str(tmp_path))
        said = ""
        with subprocess.Popen([*command, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 12)):
                said = process.stdout.readline()
                assert said, "the process ended by itself"
            process.kill()
            rest = process.stdout.read().split("\n")
        # The kill may fall into a line.
        acknowledged = max([int(said), *(int(line) for line in rest[:-1])])
        made = store.Store(str(tmp_path))
        found = made.read()
        assert found is not None and made.damaged == []
        assert found[0] in (acknowledged, acknowledged + 1), "what was said to be kept is kept"
        assert dict(found[3]) == {"R_s Ohm": found[0], "J kg.m2": 2 * found[0]}
        assert found[0] > last
        last = found[0]
