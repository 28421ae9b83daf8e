"""The scope's parts that need neither a drive nor a browser."""

import asyncio
import json
import struct

import numpy as np
import pytest

from host_tools import log
from host_tools.errors import ToolError
from host_tools.schema import Schema, SignalInfo
from host_tools.scope import batch, catalogue, export
from host_tools.scope.access import Guard, new_token
from host_tools.scope.control import Control, NotInControl
from host_tools.scope.hub import BATCHES_KEPT, Hub, Page
from host_tools.scope.recorder import Recorder
from host_tools.stream import Row

TOKEN = "secret"
HOSTS = {"127.0.0.1", "localhost"}


# --- who may come in ----------------------------------------------------------------------------


def answer_to(kind, path, headers, hosts=HOSTS):
    """First message that the guard sends for a request; the path that went through, if any."""
    passed = []

    async def app(scope, receive, send):
        passed.append(scope["root_path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": f"{kind}.connect"}

    scope = {
        "type": kind,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(app, TOKEN, hosts)(scope, receive, send))
    return sent[0], passed


OWN = {"host": "127.0.0.1:8000"}


@pytest.mark.parametrize(
    "headers", [OWN, {**OWN, "origin": "http://127.0.0.1:8000"}, {"host": "localhost:8000"}]
)
def test_the_token_opens_the_page(headers):
    sent, passed = answer_to("http", f"/{TOKEN}/page/main.js", headers)
    assert sent["status"] == 200
    assert passed == [f"/{TOKEN}"]
    assert (b"referrer-policy", b"no-referrer") in sent["headers"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", OWN),
        ("/wrong/", OWN),
        (f"/{TOKEN}x/", OWN),
        ("/live", OWN),
        (f"/{TOKEN}/live", {**OWN, "origin": "http://evil.example"}),
        (f"/{TOKEN}/live", {**OWN, "origin": "http://127.0.0.1:8001"}),
        (f"/{TOKEN}/live", {**OWN, "origin": "null"}),
        (f"/{TOKEN}/live", {"host": "evil.example"}),
        (f"/{TOKEN}/live", {"host": "evil.example", "origin": "http://evil.example"}),
        (f"/{TOKEN}/live", {}),
    ],
)
def test_everything_else_is_refused(kind, path, headers):
    sent, passed = answer_to(kind, path, headers)
    assert passed == []
    if kind == "http":
        assert sent["status"] == 403
    else:
        assert sent["type"] == "websocket.close"  # before it was accepted, which a server answers by 403


def test_a_scope_beyond_loopback_takes_any_name_but_no_foreign_origin():
    there = {"host": "bench.example:8000"}
    assert answer_to("http", f"/{TOKEN}/", there, set())[0]["status"] == 200
    foreign = {**there, "origin": "http://evil.example"}
    assert answer_to("http", f"/{TOKEN}/", foreign, set())[0]["status"] == 403


def test_tokens_differ():
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 24


# --- who commands -------------------------------------------------------------------------------


def test_the_first_page_that_commands_has_control():
    control = Control()
    assert control.use("one")
    assert not control.use("one")
    with pytest.raises(NotInControl, match="Another page controls"):
        control.use("two")
    control.release("two")
    assert control.holder == "one"
    control.release("one")
    assert control.use("two")


@pytest.mark.parametrize("state", ["ready", "running", "field up", "stopping"])
def test_a_running_drive_cannot_be_taken(state):
    control = Control()
    control.use("one")
    with pytest.raises(NotInControl, match=state):
        control.take("two", state)
    assert control.holder == "one"


@pytest.mark.parametrize("state", ["off", "fault"])
def test_a_drive_at_rest_can_be_taken(state):
    control = Control()
    control.use("one")
    control.take("two", state)
    assert control.holder == "two"


# --- slow pages -----------------------------------------------------------------------------------


def test_a_slow_page_loses_the_oldest_rows_and_is_told_how_many():
    async def run():
        page = Page("slow")
        for k in range(BATCHES_KEPT + 7):
            page.give(bytes([k]), 10)
        page.say("words")
        assert page.skipped == 70
        assert await page.next() == "words"  # never behind data
        assert json.loads(str(await page.next())) == {"skipped": 70}
        assert await page.next() == bytes([7])
        for _ in range(BATCHES_KEPT - 1):
            last = await page.next()
        assert last == bytes([BATCHES_KEPT + 6])
        page.give(b"new", 1)
        assert await page.next() == b"new"

    asyncio.run(run())


def test_a_slow_page_costs_the_others_nothing():
    async def run():
        hub = Hub()
        hub.loop = asyncio.get_running_loop()
        slow, quick = Page("slow"), Page("quick")
        slow.wants = quick.wants = ("i_q",)
        hub.pages = {slow, quick, Page("wants nothing")}
        for k in range(3 * BATCHES_KEPT):
            hub.give(bytes([k % 256]), 1)
            await asyncio.sleep(0)
            assert await quick.next() == bytes([k % 256])
        assert (slow.skipped, quick.skipped) == (2 * BATCHES_KEPT, 0)

    asyncio.run(run())


def test_without_a_loop_nothing_is_said():
    Hub().say(status="nobody hears")


# --- rows -----------------------------------------------------------------------------------------


class Columns:
    def __init__(self):
        self.t_pwm = 5e-5
        self.names: tuple[str, ...] = ("i_q", "theta_e")
        self.units = ("A", "turn")
        self.steps: tuple[float, ...] = (0.5, 2.0**-30)
        self.column = {"i_q": 0, "theta_e": 1}
        self.divider = 10
        self.lost = self.dropped = 0


def rows_of(periods):
    return [Row(Columns(), period, (k, k << 20)) for k, period in enumerate(periods)]


def test_a_batch_holds_what_was_received():
    beyond = (1 << 30) + 7  # the device's own number has wrapped
    message = batch.pack(3, rows_of([beyond, beyond + 10, beyond + 50]), np.array(Columns().steps), 3, 10)
    kind, layout, rows, channels, first, lost, divider = batch.HEAD.unpack_from(message)
    assert (kind, layout, rows, channels, first, lost, divider) == (1, 3, 3, 2, beyond, 3, 10)
    after = np.frombuffer(message, "<u4", 3, batch.HEAD.size)
    assert after.tolist() == [0, 10, 50]
    values = np.frombuffer(message, "<f4", 6, batch.HEAD.size + 12).reshape(2, 3)
    assert values[0].tolist() == [0, 0.5, 1]
    assert values[1] == pytest.approx([0, 2**-10, 2**-9])


def test_signals_are_listed_in_everyday_units_and_per_unit():
    bases = {"one": 1.0, "i": 70.0, "i_f": 8.0, "w_e": 800.0, "w_m": 400.0}

    def signal(name, unit, base, length=0):
        step = bases[base] / 32768
        return SignalInfo(name, "state", unit, -32767, 32767, "", 5, length, step, base)

    signals = [
        signal("w_e", "rad/s", "w_e"),
        signal("w_m_ref", "rad/s", "w_m"),
        signal("i_q", "A", "i"),
        signal("i_f", "A", "i_f"),
        signal("drive_state", "1", "one"),
        signal("table_i_d", "A", "i", 289),
    ]
    schema = Schema("hash", bases, 5e-5, {each.name: each for each in signals})
    listed = {each["name"]: each for each in catalogue.list_signals(schema)}
    assert "table_i_d" not in listed
    assert listed["speed"]["source"] == "w_e"
    assert listed["speed"]["scale"] == pytest.approx(30 / np.pi / 2)  # two pole pairs
    assert listed["speed_ref"]["scale"] == pytest.approx(30 / np.pi)
    assert listed["speed"]["base"] == listed["speed_ref"]["base"] == pytest.approx(400 * 30 / np.pi)
    found = {name: listed[name]["base"] for name in ("i_q", "i_f", "w_m_ref", "drive_state")}
    assert found == {"i_q": 70, "i_f": 8, "w_m_ref": 400, "drive_state": 1}


# --- saving what is seen -------------------------------------------------------------------------------


def body_of(said, *arrays):
    head = json.dumps(said).encode()
    return struct.pack("<I", len(head)) + head + b"".join(array.tobytes() for array in arrays)


SIGNALS = {"i_q": {"unit": "A"}, "speed": {"unit": "rpm"}}
ABOUT = {
    "identity": {"unit": "a", "kernel_hash": "k"},
    "t_pwm": 5e-5,
    "bases": {"w_e": 1.0, "w_m": 0.5},
    "settings": {},
    "state": "off",
}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_what_is_seen_is_saved_with_units(kind, tmp_path):
    period, i_q, speed = np.arange(5.0) * 10 + 100, np.arange(5, dtype="<f4"), np.ones(5, dtype="<f4")
    said = {"names": ["i_q", "speed"], "rows": 5, "divider": 10, "notes": [{"note": "note", "text": "here"}]}
    run = export.read_body(body_of(said, period, i_q, speed), ABOUT, SIGNALS)
    content = export.write(run, kind)
    if kind == "csv":
        assert b"i_q [A],speed [rpm]" in content
    else:
        file = tmp_path / "seen.parquet"
        file.write_bytes(content)
        again = log.read(file)
        assert again.period.tolist() == [100, 110, 120, 130, 140]
        assert again["i_q"].tolist() == [0, 1, 2, 3, 4]
        assert again.units["speed"] == "rpm"
        assert again.notes[0]["text"] == "here"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff\xff\xff",
        body_of({"names": ["i_q"], "rows": 5, "divider": 1}),
        body_of({"names": ["nosuch"], "rows": 0, "divider": 1}),
        body_of({"names": [], "rows": 0, "divider": 1}, np.zeros(1)),
        body_of({"names": [], "rows": -5, "divider": 1}, np.zeros(9)),
    ],
)
def test_a_body_that_does_not_fit_is_refused(body):
    with pytest.raises(ToolError, match="The page sent"):
        export.read_body(body, ABOUT, SIGNALS)


def test_only_known_kinds_of_files():
    with pytest.raises(ToolError, match="parquet or csv"):
        export.write(None, "exe")  # type: ignore[arg-type]


# --- the log ---------------------------------------------------------------------------------------------


def test_the_log_goes_on_in_another_file_when_the_signals_change(tmp_path):
    recorder = Recorder(tmp_path)
    stream = Columns()
    recorder.begin(stream)  # type: ignore[arg-type]
    first = recorder.start(ABOUT)
    recorder.rows(rows_of([0, 10, 20]))
    recorder.note("note", period=5, text="here")
    recorder.begin(stream)  # type: ignore[arg-type]
    recorder.rows(rows_of([30]))
    status = recorder.status()
    assert status is not None
    second = recorder.stop()
    assert second is not None
    assert second != first
    assert recorder.stop() is None
    assert recorder.status() is None
    run = log.read(first)
    assert (len(run), run.cut) == (3, 0)
    assert [note["note"] for note in run.notes] == ["note", "stream"]
    assert len(log.read(second)) == status["rows"] == 1


def test_without_a_log_nothing_is_kept(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.rows(rows_of([0]))
    recorder.note("note", text="here")
    assert list(tmp_path.iterdir()) == []
