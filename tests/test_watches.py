"""Watches of angle, motion, currents and torque: each fault at several operating points is named in time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from boards.virtual import plant, sensors
from eesm.drive import FAULT, READY, RUNNING
from eesm.fault_table import FAULTS
from tests.drive_bench import Bench

CLAIMED = {row.name: row.periods or 0 for row in FAULTS}


def turning(unit: str, share: float, load: float = 0.0, **options: Any) -> Bench:
    """A drive held at a share of w_m_max; `load` is a share of torque_max, braking above zero."""
    bench = Bench(unit, 3, **options).ready()
    settings = bench.kernel.settings
    bench.drive.set_speed(share * settings["w_m_max"])
    bench.run(abs(share) * settings["w_m_max"] / settings["acceleration"] + 0.4)
    bench.x[plant.LOAD_TORQUE] = math.copysign(load, load * share) * settings["torque_max"]
    bench.run(0.4)
    assert bench.drive.state == RUNNING, bench.story()
    return bench


def trip(bench: Bench, within: float) -> tuple[str, int]:
    """(first fault, periods until the kernel has latched it); fails when there is none."""
    began = bench.kernel.read("period")
    assert bench.run(within, lambda: bench.drive.state == FAULT), bench.story()
    bench.run(0.002)
    return bench.names()[0], bench.kernel.read("fault_period") - began


def inject(bench: Bench, name: str, amount: float | None = None) -> None:
    if name in sensors.FAULTS:
        sensors.inject(bench.loop.k, name, True, amount)
    else:
        plant.inject(bench.loop.c, name, True, amount, bench.x)


# --- angle --------------------------------------------------------------------------------------

POINTS = [
    *(("a", 0.2, 0.3), ("a", -0.7, 0.1), ("b", 0.2, -0.2)),
    *(("b", -0.8, 0.1), ("c", 0.1, 0.2), ("c", -0.8, -0.1)),
]


@pytest.mark.parametrize("degrees", [60, -60, 170])
@pytest.mark.parametrize(("unit", "share", "load"), [*POINTS, ("a", 0.0, 0.0), ("c", 0.0, 0.0)])
def test_a_jump_of_the_encoder_is_named(unit, share, load, degrees):
    bench = turning(unit, share, load)
    inject(bench, "encoder_jumped", degrees)
    name, periods = trip(bench, 0.1)
    # Where currents are high, what the wrong angle makes of them trips first.
    assert name in ("ENCODER_JUMPED", "PHASE_OVERCURRENT", "FIELD_OVERCURRENT")
    assert periods <= CLAIMED["ENCODER_JUMPED"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_jump_at_rest_is_a_jump(unit):
    bench = turning(unit, 0.0)
    inject(bench, "encoder_jumped", 60)
    assert trip(bench, 0.05)[0] == "ENCODER_JUMPED"


def put_off(bench: Bench, degrees: float) -> None:
    """Turn what the kernel believes of the angle, without a jump of the count."""
    vars(bench.drive)["keepers"] = ()  # they would find the changed word itself
    word = bench.kernel.offset["theta_offset"]
    off = round(degrees / 360 * 2**30)
    bench.kernel.block[word] = (int(bench.kernel.block[word]) + off) & (2**30 - 1)


@pytest.mark.parametrize("degrees", [35, -35, 90])
@pytest.mark.parametrize(("unit", "share", "load"), POINTS)
def test_an_angle_that_the_emf_contradicts_has_slipped(unit, share, load, degrees):
    bench = turning(unit, share, load)
    put_off(bench, degrees)
    name, periods = trip(bench, 0.2)
    assert name in ("ANGLE_SLIPPED", "PHASE_OVERCURRENT", "FIELD_OVERCURRENT")
    assert periods <= CLAIMED["ANGLE_SLIPPED"]
    if abs(degrees) < 90 and unit == "a":
        assert name == "ANGLE_SLIPPED"


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_counts_that_are_lost_end_in_a_slipped_angle(unit):
    bench = turning(unit, 0.4, 0.2)
    inject(bench, "encoder_slips", 0.01)
    assert trip(bench, 1.0)[0] in ("ANGLE_SLIPPED", "PHASE_OVERCURRENT")


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_torque_the_wrong_way_is_named(unit):
    bench = turning(unit, 0.0)
    put_off(bench, 180)
    bench.drive.set_torque(0.3 * bench.kernel.settings["torque_max"])
    name, periods = trip(bench, 0.5)
    assert name in ("TORQUE_REVERSED", "ANGLE_SLIPPED", "TORQUE_IMPLAUSIBLE")
    assert periods <= CLAIMED["TORQUE_REVERSED"]
    assert abs(bench.w_m) < 0.5 * bench.kernel.settings["w_m_max"]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_torque_the_wrong_way_is_seen_at_a_weak_field(unit, sign):
    """Too little EMF for an angle, too little torque for the second level, but the shaft runs backwards."""
    bench = turning(unit, 0.0)
    settings = bench.kernel.settings
    put_off(bench, 180)
    bench.drive.set_currents(0.0, sign * 0.9 * settings["i_max"], 0.15 * settings["i_f_max"])
    assert trip(bench, 1.0)[0] == "TORQUE_REVERSED"
    assert abs(bench.w_m) < 0.5 * settings["w_m_max"]


def test_an_encoder_that_turns_round_at_rest_never_runs_away():
    bench = turning("a", 0.0)
    inject(bench, "encoder_reversed")
    bench.drive.set_torque(2.0)
    trip(bench, 0.5)
    assert abs(bench.w_m) < 0.5 * bench.kernel.settings["w_m_max"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_load_that_drives_through_zero_is_no_fault(unit):
    bench = turning(unit, 0.1)
    settings = bench.kernel.settings
    bench.drive.set_torque(0.3 * settings["torque_max"])
    bench.x[plant.LOAD_TORQUE] = 0.45 * settings["torque_max"]
    for _ in range(2):
        bench.run(3.0, lambda: abs(bench.w_m) > 0.6 * settings["w_m_max"])
        assert bench.drive.state == RUNNING, bench.story()
        bench.x[plant.LOAD_TORQUE] = 0.15 * settings["torque_max"]
    # Standing against the rated load is none either.
    bench.drive.set_speed(0.0)
    bench.run(2.0)
    assert bench.drive.state == RUNNING, bench.story()


# --- motion -------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["a", "b"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_shaft_that_breaks_spins_out(unit, sign):
    """What is left of the inertia goes off with the torque.  (On c the field's current trips before.)"""
    bench = turning(unit, 0.05 * sign, 0.6)
    bench.loop.c[plant.H_PER_J] *= 8
    bench.x[plant.LOAD_TORQUE] = 0
    bench.drive.set_torque(sign * 0.9 * bench.kernel.settings["torque_max"])
    name, periods = trip(bench, 0.2)
    assert name == "SPIN_OUT"
    assert periods <= CLAIMED["SPIN_OUT"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_load_that_hits_the_shaft_spins_it_out(unit, sign):
    bench = turning(unit, 0.05 * sign)
    bench.drive.set_torque(0.0)
    bench.x[plant.LOAD_TORQUE] = -sign * 3.2 * bench.kernel.settings["torque_max"]
    name, periods = trip(bench, 0.2)
    assert name == "SPIN_OUT"
    assert periods <= CLAIMED["SPIN_OUT"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_blocked_shaft_stalls_after_its_time(unit):
    bench = Bench(unit, 3, settings={"stall_time": 0.5}).ready()
    bench.x[plant.BRAKE_TORQUE] = 2 * bench.kernel.settings["torque_max"]
    bench.drive.set_torque(0.7 * bench.kernel.settings["torque_max"])
    bench.run(1.0)
    assert bench.drive.state == RUNNING, "less torque may be held: " + bench.story()
    bench.drive.set_torque(0.98 * bench.kernel.settings["torque_limit"])
    name, periods = trip(bench, 1.0)
    assert name == "STALLED"
    assert 0.5 * 20000 <= periods <= 0.5 * 20000 + 2000


# --- currents -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "amount"), [("gain_a", 0.3), ("gain_b", -0.3)])
@pytest.mark.parametrize(
    ("unit", "share", "load"), [("a", 0.3, 0.35), ("a", -0.1, 0.35), ("b", 0.3, 0.35), ("c", -0.1, 0.35)]
)
def test_a_gain_that_drifts_unbalances_the_phases(unit, share, load, fault, amount):
    bench = turning(unit, share, load, phase_sensors=2, **sensors.PICO)
    inject(bench, fault, amount)
    name, periods = trip(bench, 1.5)
    assert name == "PHASE_UNBALANCE"
    assert periods <= CLAIMED["PHASE_UNBALANCE"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_looks_60_ms_apart_see_an_unbalance_as_well(unit):
    bench = turning(unit, 0.3, 0.35, **sensors.PICO)
    drive, began = bench.drive, bench.kernel.read("period")

    def pass_time(seconds: float) -> None:
        for _ in range(round(seconds / 0.06)):
            for _ in range(60):
                bench.loop.run(20)
                bench.mailbox.pump()
            drive.host_seen()
            drive.tick()

    pass_time(2.0)
    assert drive.state == RUNNING, bench.story()
    inject(bench, "gain_a", 0.3)
    pass_time(1.6)
    assert bench.names()[0] == "PHASE_UNBALANCE", bench.story()
    assert bench.kernel.read("fault_period") - began <= 40000 + CLAIMED["PHASE_UNBALANCE"]


@pytest.mark.parametrize(("unit", "share", "load"), [("a", 0.1, 0.4), ("b", -0.3, 0.3), ("c", 0.1, 0.3)])
def test_a_cable_that_comes_off_trips(unit, share, load):
    bench = turning(unit, share, load)
    inject(bench, "phase_open")
    name, periods = trip(bench, 0.5)
    # The voltages of two phases tell a wrong angle before whole turns have shown the third.
    assert name in ("PHASE_UNBALANCE", "ANGLE_SLIPPED", "PHASE_OVERCURRENT", "FIELD_OVERCURRENT")
    assert periods <= CLAIMED["PHASE_UNBALANCE"]


@pytest.mark.parametrize(("unit", "share", "load"), [("a", 0.1, 0.4), ("b", -0.3, 0.3), ("c", 0.3, 0.3)])
def test_currents_that_do_not_add_up_are_named(unit, share, load):
    bench = turning(unit, share, load, phase_sensors=3, **sensors.PICO)
    settings = bench.kernel.settings
    inject(bench, "offset_a", 0.4 * settings["i_max"] / settings["i_base"] * 2048)
    name, periods = trip(bench, 0.2)
    assert name in ("PHASE_SUM", "PHASE_OVERCURRENT")
    assert name == "PHASE_SUM" or unit == "c"
    assert periods <= CLAIMED["PHASE_SUM"]


# --- the second level -----------------------------------------------------------------------------


def poke(bench: Bench, name: str, value: int) -> None:
    vars(bench.drive)["keepers"] = ()  # they would find the changed word itself
    bench.kernel.block[bench.kernel.offset[name]] = value


@pytest.mark.parametrize("unit", ["a", "b", "c", "b_12v", "c_saturated"])
@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_setpoint_that_turns_round_in_the_kernel_is_implausible(unit, share, sign):
    bench = turning(unit, share)
    torque = 0.3 * bench.kernel.settings["torque_max"]
    if share == 0:
        bench.x[plant.BRAKE_TORQUE] = 3 * torque
    bench.drive.set_torque(sign * torque)
    bench.run(0.02)
    poke(bench, "torque_set", -bench.kernel.read("torque_set"))
    name, periods = trip(bench, 0.3)
    assert name == "TORQUE_IMPLAUSIBLE"
    assert periods <= CLAIMED["TORQUE_IMPLAUSIBLE"]


@pytest.mark.parametrize("unit", ["a", "b", "c", "c_saturated"])
@pytest.mark.parametrize("share", [0.0, 0.15, -0.15])
def test_a_law_that_believes_in_a_weak_field_is_implausible(unit, share):
    """k_m of 40 %: i_q gets 2.5 times as long for the same torque."""
    bench = turning(unit, share)
    torque = 0.25 * bench.kernel.settings["torque_max"]
    bench.x[plant.BRAKE_TORQUE] = (4 if share == 0 else 1.6) * torque
    bench.drive.set_torque(math.copysign(torque, share))
    bench.run(0.02)
    poke(bench, "k_m", bench.kernel.read("k_m") * 2 // 5)
    name, periods = trip(bench, 0.3)
    # Torque the angle's watch may see first what the wrong flux does to the voltages.
    assert name in ("TORQUE_IMPLAUSIBLE", "ANGLE_SLIPPED", "PHASE_OVERCURRENT")
    if share == 0:
        assert name == "TORQUE_IMPLAUSIBLE"
    assert periods <= CLAIMED["TORQUE_IMPLAUSIBLE"]


def test_a_wrong_angle_at_rest_is_implausible():
    """No EMF tells, but the second level has a Park transformation of its own."""
    bench = turning("a", 0.0)
    bench.x[plant.BRAKE_TORQUE] = 20.0
    bench.drive.set_torque(3.0)
    bench.run(0.02)
    put_off(bench, 150)
    assert trip(bench, 0.3)[0] == "TORQUE_IMPLAUSIBLE"


def test_a_speed_law_that_runs_away_is_implausible():
    bench = turning("a", 0.2)
    # Its reference is no setpoint: the ramp is pushed far above.
    poke(bench, "w_m_set", bench.kernel.read("w_m_set") * 4)
    name, _ = trip(bench, 1.0)
    assert name == "TORQUE_IMPLAUSIBLE"
    assert bench.w_m < 0.7 * bench.kernel.settings["w_m_max"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_currents_that_are_not_those_set_are_implausible(unit):
    bench = Bench(unit, 3).ready()
    settings = bench.kernel.settings
    bench.x[plant.BRAKE_TORQUE] = 2 * settings["torque_max"]
    bench.drive.set_currents(0.0, 0.1 * settings["i_max"], 0.6 * settings["i_f_max"])
    bench.run(0.3)
    assert bench.drive.state == RUNNING, bench.story()
    poke(bench, "i_q_set", bench.kernel.read("i_q_set") * 6)
    assert trip(bench, 0.2)[0] == "TORQUE_IMPLAUSIBLE"


@pytest.mark.parametrize("unit", ["a", "b", "c", "b_12v", "c_saturated"])
def test_the_estimate_of_torque_is_that_of_the_machine(unit):
    """Within a third of what the watch allows, at rest and turning, both ways."""
    options: dict[str, Any] = sensors.PICO
    bench = Bench(unit, 3, **options).ready()
    settings = bench.kernel.settings
    level, found = vars(bench.drive)["second_level"], []
    follow = level._follow

    def spy(w_m, i_f, torque, time):
        found.append(torque - bench.x[plant.TORQUE])
        follow(w_m, i_f, torque, time)

    level._follow = spy
    for share in (0.0, 0.3, -0.3, 0.7):
        # A load that drove c on through 0.63 of w_m_max may end in PHASE_OVERCURRENT (2 of 24 seeds), and as
        # often with no watch at all: that is the control law at its voltage limit.
        bench.x[plant.LOAD_TORQUE] = 0
        bench.drive.set_speed(share * settings["w_m_max"])
        bench.run(abs(share) * settings["w_m_max"] / settings["acceleration"] * 2 + 0.5)
        for load in (0.3, -0.3):
            bench.x[plant.LOAD_TORQUE] = load * settings["torque_max"] * (0.5 if abs(share) > 0.5 else 1)
            bench.run(0.5)
            found.clear()
            bench.run(0.2)
            assert bench.drive.state == RUNNING, bench.story()
            assert len(found) > 20
            assert max(map(abs, found)) < 0.05 * settings["torque_max"], (share, load)


def test_what_is_ready_asks_for_no_torque():
    bench = Bench("a", 3).ready()
    assert bench.drive.state == READY
    bench.x[plant.BRAKE_TORQUE] = 20.0
    poke(bench, "i_f_set", bench.kernel.raw("i_f_set", 2.0))
    bench.run(0.1)
    poke(bench, "i_q_set", bench.kernel.raw("i_q_set", 30.0))
    assert trip(bench, 0.2)[0] == "TORQUE_IMPLAUSIBLE"
