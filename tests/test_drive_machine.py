"""Whatever order commands, faults and time come in: no torque without a field that was verified."""

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from boards.virtual import plant
from eesm import drive as states
from eesm.drive import DIRECTION, FAULT, OFF, READY, RUNNING, STOPPING, Refused
from tests.drive_bench import Bench

# What may follow what; FAULT may follow everything and is left out.
FOLLOWS = {
    states.OFF: {states.OFFSETS},
    states.OFFSETS: {states.WIRING, states.FIELD_UP, states.FIELD_DOWN},
    states.WIRING: {states.ANGLE, states.FIELD_DOWN},
    states.ANGLE: {states.FIELD_UP, states.FIELD_DOWN},
    states.FIELD_UP: {states.DIRECTION, states.READY, states.STOPPING},
    states.DIRECTION: {states.READY, states.STOPPING},
    states.READY: {states.RUNNING, states.STOPPING},
    states.RUNNING: {states.STOPPING},
    states.STOPPING: {states.FIELD_DOWN},
    states.FIELD_DOWN: {states.OFF},
    states.FAULT: {states.OFF},
}


class DriveMachine(RuleBasedStateMachine):
    """Commands, faults of the machine and time, in any order."""

    def __init__(self):
        super().__init__()
        self.bench = Bench("a", seed=3)
        self.drive = self.bench.drive
        self.i_f_max = self.bench.unit.motor.i_f_max
        self.torque_max = self.bench.unit.limits.torque_max
        self.seen = 0
        self.last = OFF
        self.field_was_up = False
        self.open_ticks = 0
        self.sensor_turned = False  # while armed: control then drives its current away until the trip

    def live(self, seconds):
        for _ in range(round(seconds * 1000)):
            self.bench.run(0.001)
            self.watch()

    def watch(self):
        """The requirements that hold at every tick."""
        drive, bench = self.drive, self.bench
        for _, kind, text in drive.events:
            if kind == "state":
                state = states.STATES.index(text)
                assert state == FAULT or state in FOLLOWS[self.last], (self.last, state, bench.story())
                self.last = state
        drive.events.clear()
        state = drive.state
        if state in (READY, DIRECTION):
            self.field_was_up = self.field_was_up or bench.i_f > 0.08 * self.i_f_max
        torque = abs(float(bench.x[plant.TORQUE]))
        if torque > 0.03 * self.torque_max and abs(bench.w_m) < 50 and not self.sensor_turned:
            assert self.field_was_up, bench.story()
            assert state in (DIRECTION, READY, RUNNING, STOPPING, FAULT), bench.story()
        # Behind open switches the diodes take a few milliseconds to end a current that ran away.
        self.open_ticks = self.open_ticks + 1 if state in (OFF, FAULT) else 0
        if self.open_ticks > 5:
            self.field_was_up = False
        if bench.kernel.read("faults"):
            assert bench.kernel.read("gate_enable") & 1 == 0
        assert bench.i_f < 1.1 * bench.unit.limits.i_f_trip

    @rule()
    def arm(self):
        before = self.drive.state
        try:
            self.drive.arm()
            assert before == OFF
        except Refused as refusal:
            assert len(refusal.text) > 10
            assert self.drive.state == before

    @rule()
    def stop(self):
        self.drive.stop()
        assert self.drive.state not in (READY, RUNNING)

    @rule()
    def clear(self):
        before = self.drive.state
        with suppress(Refused):
            self.drive.clear()
            assert before == FAULT

    @rule(torque=st.floats(-1, 1), ahead=st.integers(0, 4000))
    def set_torque(self, torque, ahead):
        before = self.drive.state
        due = (self.bench.kernel.read("period") + ahead) & ((1 << 30) - 1)
        try:
            self.drive.set_torque(torque * self.bench.kernel.settings["torque_limit"], due)
            assert before in (READY, RUNNING)
        except Refused:
            assert before not in (READY, RUNNING)

    @rule(speed=st.floats(-150, 150))
    def set_speed(self, speed):
        with suppress(Refused):
            self.drive.set_speed(speed)

    @rule(i_d=st.floats(-20, 20), i_q=st.floats(-20, 20), i_f=st.floats(0, 4))
    def set_currents(self, i_d, i_q, i_f):
        with suppress(Refused):
            self.drive.set_currents(i_d, i_q, i_f)

    @rule(seconds=st.sampled_from((0.002, 0.02, 0.3)))
    def wait(self, seconds):
        self.live(seconds)

    @rule()
    def wait_until_ready(self):
        with suppress(Refused):
            self.drive.arm()
        self.live(0.65)

    @rule(host=st.booleans())
    def host_comes_or_goes(self, host):
        self.bench.host = host

    @rule(on=st.booleans(), name=st.sampled_from(("exciter_open", "shunt_inverted_a")))
    def machine_breaks_or_mends(self, on, name):
        self.sensor_turned = self.sensor_turned or (name == "shunt_inverted_a" and self.drive.state != OFF)
        self.bench.loop.inject(name, on)

    @rule(limit=st.sampled_from((5.0, 56.0)))
    def limit_changes(self, limit):
        self.drive.set_setting("i_trip", limit)

    @invariant()
    def the_main_loop_asks_for_torque_only_when_allowed(self):
        if self.drive.state in (OFF, FAULT) and self.bench.mailbox.idle():
            assert self.bench.kernel.read("bridge_mode") == 0

    def teardown(self):
        """From wherever it came, a stop or a clear leads to OFF."""
        for name in ("exciter_open", "shunt_inverted_a"):
            self.bench.loop.inject(name, False)
        self.drive.set_setting("i_trip", 56.0)
        self.bench.host = True
        self.drive.stop()
        self.live(0.6)
        if self.drive.state == FAULT:
            self.drive.clear()
            self.live(0.01)
        assert self.drive.state == OFF, self.bench.story()
        assert self.bench.i_f < 0.02 * self.i_f_max


TestDriveMachine = DriveMachine.TestCase
TestDriveMachine.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
