"""The runner: commands ahead of their period, phases, trouble, and an ordered end."""

import time
from itertools import pairwise

import pytest

from eesm.cyclic import MASK
from host_tools import runner, scenario
from host_tools.errors import UsageError
from host_tools.runner import AHEAD, Runner
from tests.fake_bench import FakeBench

RPM = 0.10471975511965977


class Recorder:
    """Keeps what a run produces."""

    def __init__(self):
        self.kept = []
        self.notes = []

    def begin(self, rows):
        self.columns = rows.names

    def rows(self, rows):
        self.kept += rows

    def note(self, kind, **content):
        self.notes.append((kind, content))

    def named(self, kind):
        return [content for each, content in self.notes if each == kind]


def run(bench, chosen="demo", on_progress=None):
    recorder = Recorder()
    found = scenario.load(chosen) if "\n" not in chosen else scenario.parse(chosen)
    return Runner(found, bench, recorder, on_progress).run(), recorder


@pytest.mark.parametrize("fast", [True, False])
def test_the_demo_runs_through(fast):
    bench = FakeBench(fast=fast)
    outcome, recorder = run(bench)
    assert outcome.completed
    assert outcome.trouble == ""
    assert outcome.late == 0
    assert bench.state == "off"
    assert [each["name"] for each in recorder.named("phase")] == [
        phase.name for phase in scenario.load("demo").phases
    ]


def test_setpoints_and_load_leave_ahead_of_their_period():
    bench = FakeBench()
    run(bench)
    ahead = AHEAD / bench.t_pwm
    planned = [(sent, at) for sent, _, _, at in bench.commands if at is not None]
    assert len(planned) > 5
    for sent, at in planned:
        assert 0 < at - sent <= ahead + 200


def test_phases_follow_each_other_without_a_gap_in_device_time():
    bench = FakeBench()
    _, recorder = run(bench)
    ends = {each["name"]: each["period"] for each in recorder.named("end")}
    begins = {each["name"]: each["period"] for each in recorder.named("phase")}
    assert begins["load step"] == ends["spin up"]
    assert ends["spin up"] - begins["spin up"] == round(1.4 / bench.t_pwm)


@pytest.mark.parametrize("jitter", [0, 3, 11])
def test_the_wall_clock_has_no_part_in_the_periods(jitter):
    """However late the host looks, commands of timed phases act at the same period after `ready`."""
    bench = FakeBench(fast=False)
    plain_read = bench.pass_by
    turn = [0]

    def hesitate(periods):
        turn[0] += 1
        plain_read(periods + 20 * (jitter * turn[0] % 7))

    bench.pass_by = hesitate
    _, recorder = run(bench)
    ready = next(each["period"] for each in recorder.named("event") if each["text"] == "ready")
    acts = [each["due"] - ready for each in recorder.named("command") if "speed" in each["text"]]
    assert acts == [9000 + 8000, 9000 + 68000, 9000 + 128000]


def test_a_speed_ramp_is_the_drives_own_with_another_slope():
    bench = FakeBench()
    run(bench)
    slopes = [values[0] for _, name, values, _ in bench.commands if name == "set acceleration"]
    assert slopes[0] == 1200
    assert slopes[1] == pytest.approx(1000 * RPM / 0.4)
    assert slopes[-1] == 600  # as it was
    assert bench.settings()["acceleration"] == 600


def test_a_load_ramp_is_sent_in_small_steps():
    bench = FakeBench()
    run(bench)
    loads = [values[0] for _, name, values, _ in bench.commands if name == "load"]
    assert loads[0] == 2.0
    assert loads[-1] == 0.0
    steps = [a - b for a, b in pairwise(loads)]
    assert max(steps) < 0.11


def test_the_period_may_wrap():
    bench = FakeBench(period=MASK - 60_001)
    outcome, recorder = run(bench)
    assert outcome.completed
    assert outcome.late == 0
    assert len(recorder.kept) > 8000


def test_a_fault_ends_the_run_and_is_named():
    bench = FakeBench(at=lambda self: self.fail("OVERSPEED: 7000 rpm") if self.passed == 40_000 else None)
    outcome, recorder = run(bench)
    assert not outcome.completed
    assert outcome.faults == ["OVERSPEED: 7000 rpm"]
    assert "OVERSPEED" in outcome.trouble
    assert recorder.named("trouble")
    assert bench.settings()["acceleration"] == 600


def test_a_drive_that_lost_its_host_ends_the_run():
    bench = FakeBench(
        at=lambda self: self._event("host lost", "no message") if self.passed == 40_000 else None
    )
    outcome, _ = run(bench)
    assert "host lost" in outcome.trouble
    assert bench.state == "off"


def test_ctrl_c_stops_in_order_and_records_it():
    def press(progress):
        if progress.phase.name == "load step" and progress.share > 0.5 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    pressed = []
    bench = FakeBench()
    outcome, recorder = run(bench, on_progress=press)
    assert outcome.interrupted
    assert bench.state == "off"
    assert recorder.named("event")[-1]["text"] == "off"
    assert recorder.kept[-1].period > recorder.named("trouble")[0]["period"]


def test_a_state_that_does_not_come_is_told_with_the_present_one():
    bench = FakeBench()
    bench.arm = lambda wait=True: bench._enter("wiring")
    outcome, _ = run(bench)
    assert 'phase "arm": the drive is wiring after 6 s, ready was expected' in outcome.trouble
    assert bench.state == "off"


def test_a_broken_link_keeps_what_came_and_is_handed_on():
    def cut(bench):
        if bench.passed == 40_000:
            raise ConnectionError("the port is gone")

    bench = FakeBench(at=cut)
    outcome, recorder = run(bench)
    assert isinstance(outcome.error, ConnectionError)
    assert not outcome.completed
    assert recorder.named("trouble")
    assert recorder.named("stream")


def test_a_real_board_is_not_asked_for_a_load():
    bench = FakeBench()
    object.__setattr__(bench.identity, "bench", False)
    with pytest.raises(UsageError) as refused:
        run(bench)
    assert "load" in refused.value.message


def test_progress_goes_from_0_to_1():
    seen = []
    run(FakeBench(), on_progress=lambda at: seen.append((at.number, at.share)))
    assert seen == sorted(seen)
    assert seen[-1] == (9, 1.0)


def test_periods_that_the_board_missed_are_counted_from_the_beginning_of_the_run():
    def miss(bench):
        if bench.passed == 20_000:
            bench.missed_periods += 3

    bench = FakeBench(at=miss)
    bench.missed_periods = 5
    outcome, recorder = run(bench)
    assert outcome.missed == 3
    assert recorder.named("stream")[-1]["missed"] == 3


def test_a_drive_whose_time_stands_still_is_given_up(monkeypatch):
    monkeypatch.setattr(runner, "SILENCE", 0.2)
    bench = FakeBench(fast=False)

    def stop(bench):
        if bench.passed == 20_000:
            bench.pass_by = lambda periods: time.sleep(0.01)

    bench.at = stop
    outcome, _ = run(bench)
    assert not outcome.completed
    assert "No period of the drive has passed in 0.2 s" in str(outcome.error)
