"""The scope's server on a virtual drive in real time, with pages that are no browsers."""

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from eesm.drive import RPM
from host_tools import log
from host_tools.client import Drive
from host_tools.scope.hub import BATCHES_KEPT
from tests.scope.bench import PATIENCE, Bench, until

pytestmark = pytest.mark.micropython


@pytest.fixture(scope="module")
def started(tmp_path_factory, micropython):
    with Bench(tmp_path_factory.mktemp("scope")) as bench:
        yield bench


@pytest.fixture
def bench(started):
    started.rest()
    return started


def test_a_page_is_told_everything_at_once(bench):
    with bench.page("new") as page:
        page.wait(lambda said: "status" in said)
        told = {name: content for said in page.words for name, content in said.items()}
        assert told["drive"]["identity"]["unit"] == "a"
        assert {"i_q", "speed"} <= {signal["name"] for signal in told["drive"]["signals"]}
        assert told["link"]["link"] == "connected"
        assert told["faults"]["list"] == []
        assert told["status"]["state"] == "off"
        assert told["status"]["gauges"]["u_dc"] == pytest.approx(48, abs=2)
        plane = told["plane"]
        assert (plane["i_max"], plane["pole_pairs"]) == (40, 2)
        assert len(plane["table_i_d"]) == 17 * 17
        assert max(plane["table_torque"]) == pytest.approx(7.2, rel=0.05)


def test_rows_carry_device_time_and_come_whole(bench):
    with bench.page("rows") as page:
        assert page.ask("want", names=["i_q", "theta_e", "period"])["ok"]
        periods, columns = page.collect(3000)
        assert set(np.diff(periods)) == {10}  # 2 kHz of 20 kHz, none missing
        # The row's time is that of the sample: the signal `period` says the same (as far as f32 can).
        t_pwm = bench.keeper.drive.t_pwm
        assert columns["period"] == pytest.approx(periods * t_pwm, rel=1e-6)


def test_ten_signals_at_2_khz_reach_a_page_without_a_loss(bench):
    names = ["i_d", "i_q", "i_f", "u_d", "u_q", "u_f", "w_e", "torque", "u_dc", "i_q_ref"]
    with bench.page("ten") as page:
        assert page.ask("want", names=names)["ok"]
        periods, columns = page.collect(6000)
        assert set(np.diff(periods)) == {10}
        assert set(columns) == set(names)
        assert page.wait(lambda said: "status" in said)["status"]["lost"] == 0


def test_pages_share_the_stream_and_each_says_what_it_wants(bench):
    with bench.page("one") as one, bench.page("two") as two:
        assert one.ask("want", names=["i_q"])["ok"]
        assert two.ask("want", names=["i_d"])["ok"]
        both = one.wait(lambda said: said.get("layout", {}).get("names") == ["i_d", "i_q"])
        assert both["layout"]["rate"] == 2000
    with bench.page("three") as three:
        signals = [name for name, row in bench.keeper.drive.signals.items() if not row.length]
        refused = three.ask("want", names=signals[:16])
        assert not refused["ok"]
        assert "streams 15 signals" in refused["text"]
        unknown = three.ask("want", names=["i_x"])
        assert not unknown["ok"]
        assert "no signal 'i_x'" in unknown["text"]


def test_arm_run_and_stop(bench):
    with bench.page("moving") as page:
        assert page.ask("arm")["ok"]
        page.wait(lambda said: said.get("status", {}).get("state") == "ready")
        assert page.ask("speed", value=300)["ok"]
        page.wait(lambda said: said.get("status", {}).get("gauges", {}).get("w_e", 0) > 280 * RPM * 2)
        assert bench.post(f"/{bench.server.token}/stop")[0] == 200
        page.wait(lambda said: said.get("status", {}).get("state") == "off")
        states = [
            said["event"]["text"] for said in page.words if said.get("event", {}).get("kind") == "state"
        ]
        assert states[0] == "offsets"
        assert states[-1] == "off"


def test_a_stop_does_not_hold_the_pages_up_while_something_else_is_written(bench):
    connection = bench.keeper.drive.connection
    with bench.page("first") as first, bench.page("second") as second:
        assert first.ask("arm")["ok"]
        first.wait(lambda said: said.get("status", {}).get("state") == "ready")
        with connection._lock:
            number = first.send("stop")
            assert second.ask("take")["ok"] is False  # armed; and the event loop answers
        assert first.wait(lambda said: said.get("id") == number)["ok"]
        first.wait(lambda said: said.get("status", {}).get("state") == "off")


def test_one_controls_the_others_watch_and_may_stop(bench):
    with bench.page("first") as first, bench.page("second") as second:
        assert first.ask("arm")["ok"]
        first.wait(lambda said: said.get("status", {}).get("state") == "ready")
        for what, content in [
            ("arm", {}),
            ("speed", {"value": 100}),
            ("torque", {"value": 1}),
            ("clear", {}),
            ("set", {"name": "i_max", "value": 10}),
            ("undo", {}),
            ("rate", {"value": 100}),
        ]:
            refused = second.ask(what, **content)
            assert not refused["ok"], what
            assert "Another page controls" in refused["text"]
        taken = second.ask("take")
        assert not taken["ok"]
        assert "'ready'" in taken["text"]
        assert second.ask("stop")["ok"]
        second.wait(lambda said: said.get("status", {}).get("state") == "off")
        assert second.ask("take")["ok"]
        assert second.ask("set", name="i_max", value=39)["ok"]
        assert not first.ask("arm")["ok"]
        assert second.ask("undo")["value"] == 40


def test_a_drive_whose_page_has_gone_stops(bench, monkeypatch):
    monkeypatch.setattr("host_tools.scope.app.LEFT", 0.2)
    with bench.page("watching") as watching:
        with bench.page("leaving") as page:
            assert page.ask("arm")["ok"]
            page.wait(lambda said: said.get("status", {}).get("state") == "ready")
        mark = watching.wait(lambda said: "mark" in said)
        assert "the page in control has gone" in mark["mark"]["text"]
        watching.wait(lambda said: said.get("status", {}).get("state") == "off")
        assert watching.ask("arm")["ok"]  # nobody has control any more


def test_a_page_that_is_loaded_again_keeps_control(bench):
    with bench.page("again") as page:
        assert page.ask("arm")["ok"]
        page.wait(lambda said: said.get("status", {}).get("state") == "ready")
    with bench.page("again") as page:
        assert page.ask("speed", value=100)["ok"]


def test_parameters_have_ranges_and_undo(bench):
    with bench.page("tuning") as page:
        listed = page.ask("settings")
        rows = {row["name"]: row for row in listed["settings"]}
        assert rows["bandwidth_speed"] == {
            "name": "bandwidth_speed",
            "unit": "Hz",
            "low": 0.1,
            "high": 200.0,
            "meaning": "bandwidth of the speed control",
            "value": 8.0,
        }
        changed = page.ask("set", name="bandwidth_speed", value=6)
        assert (changed["before"], changed["value"]) == (8, 6)
        assert changed["undo"] == "bandwidth_speed to 8"
        assert page.ask("set", name="bandwidth_speed", value=6)["ok"]  # which it is already
        assert page.ask("set", name="bandwidth_speed", value=5)["before"] == 6
        outside = page.ask("set", name="bandwidth_speed", value=1e6)
        assert not outside["ok"]
        assert "outside 0.1 .. 200 Hz; nothing was sent" in outside["text"]
        assert not page.ask("set", name="nosuch", value=1)["ok"]
        assert not page.ask("set", name="bandwidth_speed", value="nan")["ok"]
        assert page.ask("undo")["value"] == 6
        last = page.ask("undo")
        assert (last["value"], last["undo"]) == (8, "")
        assert bench.keeper.drive.get("bandwidth_speed") == 8
        marks = [said["mark"]["text"] for said in page.words if "mark" in said]
        assert marks[0] == "bandwidth_speed: 8 -> 6 Hz"


def test_capture_at_the_pwm_rate_with_rows_before_the_trigger(bench):
    with bench.page("capturing") as page, bench.page("moving") as moving:
        assert moving.ask("arm")["ok"]
        moving.wait(lambda said: said.get("status", {}).get("state") == "ready")
        asked = {"names": ["i_q", "torque_ref"], "edge": "rising", "trigger": "torque_ref", "level": 0.5}
        number = page.send("capture", **asked, pre=100)
        drive = bench.keeper.drive
        until(lambda: drive.read("capture_state") == 2, "the capture waits for its trigger")
        assert moving.ask("speed", value=500)["ok"]
        taken = page.wait(lambda said: said.get("id") == number)["capture"]
        assert len(taken["times"]) == 512
        assert taken["times"][101] - taken["times"][100] == pytest.approx(drive.t_pwm)
        assert taken["times"][100] == 0
        torque = taken["columns"]["torque_ref"]
        assert max(torque[:100]) < 0.5 <= torque[100]


def test_a_capture_that_waits_can_be_cancelled(bench):
    with bench.page("waiting") as page:
        number = page.send("capture", names=["i_q"], edge="rising", trigger="i_q", level=39.0, pre=0)
        until(lambda: bench.keeper.drive.read("capture_state") == 2, "the capture waits")
        assert page.ask("cancel")["ok"]
        cancelled = next((said for said in page.words if said.get("id") == number), None)
        cancelled = cancelled or page.wait(lambda said: said.get("id") == number)
        assert not cancelled["ok"]
        assert "cancelled" in cancelled["text"]
        assert page.ask("capture", names=["i_q"], edge="now", pre=0)["ok"]


def test_a_fault_is_told_with_its_remedy_and_stays_until_cleared(bench):
    with bench.page("faulty") as page:
        assert page.ask("arm")["ok"]
        page.wait(lambda said: said.get("status", {}).get("state") == "ready")
        assert page.ask("speed", value=1000)["ok"]
        page.wait(lambda said: said.get("status", {}).get("gauges", {}).get("w_e", 0) > 100)
        so_far = len(page.words)  # the fault may be told before the answer
        assert page.ask("set", name="w_m_trip", value=10)["ok"]
        told = page.wait(lambda said: said.get("faults", {}).get("list"), so_far)["faults"]
        assert told["list"][0]["name"] == "OVERSPEED"
        assert "lower the speed setpoint" in told["list"][0]["remedy"]
        assert told["time"] > 0
        assert page.ask("undo")["ok"]
        page.wait(lambda said: said.get("status", {}).get("state") == "fault")
        assert not page.ask("arm")["ok"]  # it does not resume by itself
        until(lambda: page.ask("clear")["ok"], "the field is down and the fault cleared")
        page.wait(lambda said: said.get("status", {}).get("state") == "off")


def test_the_log_has_what_a_slow_page_misses(bench):
    with bench.page("slow", 4) as slow, bench.page("recording") as page:
        assert slow.ask("want", names=["i_q"])["ok"]
        assert page.ask("want", names=["i_q", "i_d"])["ok"]
        page.wait(lambda said: said.get("layout", {}).get("names") == ["i_d", "i_q"])
        assert page.ask("record")["ok"]
        assert page.ask("note", text="here")["ok"]
        # `slow` takes nothing from here on; its share fills the buffers between, then is dropped.
        page.wait(lambda said: (said.get("status", {}).get("record") or {}).get("rows", 0) > 4000)
        done = page.ask("finish")
        assert done["ok"]
        run = log.read(done["file"])
        assert run.records_lost == 0
        assert set(np.diff(run.period)) == {10}
        assert any(note.get("text") == "here" for note in run.notes)
        assert [name.rsplit(".")[-1] for name in done["files"]] == ["parquet", "csv"]


def test_what_is_not_understood_changes_nothing(bench):
    with bench.page("wrong") as page:
        for what, content in [
            ("explode", {}),
            ("speed", {}),
            ("speed", {"value": "x"}),
            ("_change", {}),
            ("obey", {}),
        ]:
            answer = page.ask(what, **content)
            assert not answer["ok"]
        page._socket.send("no json")
        page._socket.send("[]")
        assert page.ask("settings")["ok"]


def test_wrong_token_and_foreign_origin_get_403(bench):
    port, token = bench.server.port, bench.server.token
    assert bench.post("/wrong/stop")[0] == 403
    assert bench.post(f"/{token}/stop", headers={"Origin": "http://evil.example"})[0] == 403
    assert bench.post(f"/{token}/stop", headers={"Origin": f"http://127.0.0.1:{port}"})[0] == 200
    assert bench.post(f"/{token}/stop", headers={"Host": f"evil.example:{port}"})[0] == 403
    for path, origin in [("wrong", None), (token, "http://evil.example"), (token, "null")]:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{port}/{path}/live", origin=origin, open_timeout=PATIENCE)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403


def test_files_outside_of_the_page_are_not_served(bench):
    for path in ("page/../app.py", "page/..%2fapp.py", "page/%2e%2e/app.py", "uplot/../../package.json"):
        status, body = bench.post(f"/{bench.server.token}/{path}")
        assert status in (403, 404, 405), path
        assert b"starlette" not in body


def test_it_listens_on_loopback_only(bench):
    assert bench.server._socket.getsockname()[0] == "127.0.0.1"
    assert bench.server.url.startswith("http://127.0.0.1:")


# Those that follow replace the drive.


def test_it_finds_the_drive_again_after_it_was_killed(bench):
    with bench.page("patient") as page:
        assert page.ask("want", names=["i_q"])["ok"]
        page.collect(100)
        before = bench.virtual.port
        bench.restart()
        lost = page.wait(lambda said: said.get("link", {}).get("link") == "lost")
        assert "closed while it was open" in lost["link"]["text"]
        page.wait(lambda said: said.get("link", {}).get("link") == "connected")
        layout = page.wait(lambda said: "layout" in said)["layout"]
        assert (layout["epoch"], layout["names"]) == (bench.keeper.epoch, ["i_q"])
        page.batches.clear()
        periods, _ = page.collect(500)
        assert set(np.diff(periods)) == {10}
        assert bench.virtual.running
        assert before  # it may come back at the same port or at another


def test_another_unit_in_its_place_is_named_and_not_used(bench):
    with bench.page("wary") as page:
        bench.restart("b")
        # At the old port: "... is unit b, not a"; at another one: "No drive of unit a was found, but: ..."
        page.wait(lambda said: "unit b" in said.get("link", {}).get("text", ""))
        refused = page.ask("arm")
        assert not refused["ok"]
        assert "not connected" in refused["text"]
        assert bench.post(f"/{bench.server.token}/stop")[0] == 503
        bench.restart("a")
        page.wait(lambda said: said.get("link", {}).get("link") == "connected")
        page.wait(lambda said: said.get("status", {}).get("state") == "off")


def test_closing_stops_the_motor(tmp_path, micropython):
    with Bench(tmp_path) as bench:
        with bench.page("last") as page:
            assert page.ask("arm")["ok"]
            page.wait(lambda said: said.get("status", {}).get("state") == "ready")
        bench.server.close()
        with Drive.connect(bench.virtual.port, registry=bench.registry) as drive:
            assert drive.state == "off"


def test_a_page_that_takes_nothing_is_bounded_and_the_others_get_all(bench):
    with bench.page("stuck", 4) as stuck, bench.page("quick") as quick:
        assert stuck.ask("want", names=["i_q"])["ok"]
        assert quick.ask("want", names=["i_q"])["ok"]
        hub = bench.server.hub
        (page,) = (page for page in hub.pages if page.name == "stuck")
        for other in hub.pages - {page}:
            other.wants = ()  # the flood is for the stuck one alone
        flood = bytes(200_000)
        until(lambda: [hub.give(flood, 1) for _ in range(20)] and page.skipped > 50, "rows are dropped")
        assert len(page._batches) <= BATCHES_KEPT
        assert quick.ask("want", names=["i_q"])["ok"]
        quick.batches.clear()
        periods, _ = quick.collect(1000)
        assert set(np.diff(periods)) == {10}
