"""Torque limits by power, speed, heat and the dc link: stage by stage, then with the machine."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.virtual import plant
from eesm.signals import REFERENCE_TORQUE
from eesm.stages.derate import (
    LIMITED_LINK_HIGH,
    LIMITED_LINK_LOW,
    LIMITED_MACHINE,
    LIMITED_OVERLOAD,
    LIMITED_POWER,
    LIMITED_SPEED,
    LIMITED_TEMPERATURE,
    LIMITED_USER,
    limit_power,
    note_i_q,
    yield_to_link,
)
from host_tools.build import link_unit
from host_tools.experiment import Experiment
from host_tools.units import load
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)
SHARE = st.integers(0, 32767)
LINK = {
    "u_dc_hold": 26000, "u_dc_min": 12000, "u_dc_low": 14000, "u_dc_soft": 23000, "u_dc_trip": 27000,
    "k_link_high": 22370, "k_link_high_shift": 11, "k_link_low": 16777, "k_link_low_shift": 10,
}  # fmt: skip
RUNAWAY = {"w_e_soft": 8500, "w_e_hold": 8900, "k_runaway": 16000, "k_runaway_shift": 10}  # 6250 to 0


@given(Q15, Q15, SHARE, SHARE)
def test_torque_times_speed_stays_within_the_power_of_its_direction(
    torque: int, w_e: int, motoring: int, braking: int
) -> None:
    s = make_signals(
        reference_mode=REFERENCE_TORQUE, torque_ref=torque, torque_demand=torque, torque_max=32767,
        torque_limit=32767, w_e=w_e, power_motoring=motoring, power_braking=braking,
    )  # fmt: skip
    limit_power(s)
    power = s.torque_ref * w_e / 32768
    assert -braking - 3 - 2e-4 * braking <= power <= motoring + 3 + 2e-4 * motoring or abs(w_e) <= 160
    assert s.torque_ref * torque >= 0 and abs(s.torque_ref) <= abs(torque)
    if abs(s.torque_ref) < abs(torque):
        assert s.limited == LIMITED_POWER and s.torque_max == abs(s.torque_ref)


def test_limited_says_why() -> None:
    base = {"reference_mode": REFERENCE_TORQUE, "torque_demand": 9000, "torque_ref": 8000, "w_e": 8000}
    base["u_dc"] = 20000
    for changes, bits in (
        ({"torque_max": 9500, "torque_limit": 32767}, 0),
        ({"torque_max": 8000, "torque_limit": 32767}, LIMITED_MACHINE),
        ({"torque_max": 8000, "torque_limit": 8000}, LIMITED_USER),
        ({"torque_max": 9500, "torque_limit": 32767, "power_motoring": 1000}, LIMITED_POWER),
        ({"torque_max": 9500, "link_share": 9000, "u_dc_low": 14000}, LIMITED_LINK_HIGH),
        ({"torque_max": 9500, "link_share": 9000, "u_dc_low": 24000}, LIMITED_LINK_LOW),
        ({"torque_max": 8000, "torque_limit": 32767, "reference_mode": 0}, 0),
        ({"torque_max": 8000, "heat_share": 9000, "heat_reason": LIMITED_OVERLOAD}, LIMITED_OVERLOAD),
        ({"torque_max": 8000, "heat_share": 9000, "heat_reason": LIMITED_TEMPERATURE}, LIMITED_TEMPERATURE),
        ({"torque_max": 9500, "heat_share": 9000, "heat_reason": LIMITED_TEMPERATURE}, 0),
        ({"torque_max": 9500, **RUNAWAY, "w_e": 8400}, 0),
        ({"torque_max": 9500, **RUNAWAY, "w_e": 8700}, LIMITED_SPEED),
        ({"torque_max": 9500, **RUNAWAY, "w_e": -8900}, 0),
    ):
        s = make_signals(**(base | changes))
        limit_power(s)
        assert s.limited == bits, changes


@given(Q15, st.integers(-9500, 9500))
def test_torque_that_drives_the_shaft_further_falls_to_nothing_and_braking_stays(
    torque: int, w_e: int
) -> None:
    s = make_signals(
        reference_mode=REFERENCE_TORQUE, torque_ref=torque, torque_demand=torque, torque_max=32767,
        torque_limit=32767, w_e=w_e, **RUNAWAY,
    )  # fmt: skip
    limit_power(s)
    left = 32767 if abs(w_e) <= 8500 else max(0.0, (8900 - abs(w_e)) * 15.625)
    if torque * w_e <= 0 or abs(torque) <= left - 3:
        assert s.torque_ref == torque and s.limited == 0
    else:
        assert abs(s.torque_ref) == pytest.approx(min(left, abs(torque)), abs=3)
        assert s.torque_ref * torque >= 0


@given(Q15, Q15, SHARE)
def test_only_the_torque_that_drives_the_link_further_gives_way(i_q: int, w_e: int, u_dc: int) -> None:
    s = make_signals(i_q_ref=i_q, w_e=w_e, u_dc=u_dc, u_dc_last=u_dc, **LINK)
    note_i_q(s)
    yield_to_link(s)
    share = 1.0
    if i_q * w_e < 0 and abs(w_e) > 160:
        share = min(1.0, max(-0.25, (26000 - u_dc) / 3000))
    elif i_q * w_e > 0 and abs(w_e) > 160:
        share = min(1.0, max(0.0, (u_dc - 12000) / 2000))
    assert s.i_q_ref == pytest.approx(share * i_q, abs=2 + 1e-3 * abs(i_q))


def test_i_q_returns_with_the_link_and_a_rising_link_counts_ahead() -> None:
    s = make_signals(i_q_ref=-8000, w_e=9000, u_dc=22500, u_dc_last=22000, **LINK)
    note_i_q(s)
    yield_to_link(s)
    assert s.link_share < 6000 and s.i_q_ref > -1500  # 22500 + 6 * 500 is nearly the trip
    yield_to_link(s)  # it rises no more
    assert s.link_share == 32767 and s.i_q_ref == -8000


def test_shaft_power_is_held_in_both_directions() -> None:
    unit = load("c")
    limits = replace(unit.limits, power_max_motoring=60e3, power_max_braking=30e3)
    unit = replace(unit, limits=limits)
    w_m = 600.0
    bench = Experiment(unit, w_m=w_m, linked=link_unit(unit))
    for torque, power in ((300.0, 60e3), (-300.0, -30e3), (60.0, 36e3)):
        bench.torque(torque)
        bench.run(0.2)
        found = bench.record(0.02)["true_torque"].mean() * w_m
        assert found == pytest.approx(power, rel=0.01)
        assert bench.kernel.read("limited") == (LIMITED_POWER if abs(torque) == 300 else 0)


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_battery_lost_while_braking_at_a_fifth_of_the_power_does_not_trip(name: str, share: float) -> None:
    unit = load(name)
    w_m = share * unit.limits.w_m_max
    bench = Experiment(unit, w_m=w_m)
    plain = unit.as_settings()
    power = 0.2 * 1.5 * float(plain["u_dc_nominal"]) / 3**0.5 * float(plain["i_max"])
    bench.torque(-power / w_m)
    bench.run(0.4)
    before = bench.record(0.01)
    assert before["true_torque"].mean() == pytest.approx(-power / w_m, rel=0.03)
    bench.loop.inject("battery_lost")
    rows = bench.record(0.3, ["u_dc"])
    highest = rows["true_u_dc"].max()
    assert bench.faults == 0
    assert highest < unit.dc_link.u_trip
    assert rows["true_torque"][-2000:].mean() < 0  # what the machine and its field lose is still braked


def test_a_weak_supply_is_not_pulled_down_to_its_trip() -> None:
    unit = load("c")
    bench = Experiment(unit, w_m=600.0, plant_options={"battery_resistance": 0.6})  # 67 kW at most
    bench.believe(torque_slew=2000.0)
    bench.torque(200.0)
    rows = bench.record(0.4)
    assert bench.faults == 0
    assert rows["true_u_dc"].min() > unit.dc_link.u_min
    assert bench.kernel.read("limited") & LIMITED_LINK_LOW
    assert rows["true_torque"][-1000:].mean() > 60


def test_a_link_in_its_range_takes_no_torque() -> None:
    unit = load("c")
    bench = Experiment(unit, w_m=600.0)
    bench.torque(-200.0)
    bench.run(0.3)
    assert bench.x[plant.U_DC] > 400
    assert bench.kernel.read("link_share") == 32767 and bench.kernel.read("limited") == 0


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_shaft_that_torque_drives_without_a_load_does_not_reach_its_trip(name: str, sign: int) -> None:
    unit = load(name)
    bench = Experiment(unit, w_m=0.9 * sign * unit.limits.w_m_max, held=False)
    bench.torque(sign * unit.limits.torque_limit)
    bench.run(3.0)
    assert bench.faults == 0
    w_m = abs(bench.x[plant.W_M])
    assert unit.limits.w_m_max < w_m < 0.99 * bench.settings["w_m_trip"]
    assert bench.kernel.read("limited") == LIMITED_SPEED


def test_the_share_that_heat_leaves_takes_torque_at_every_speed() -> None:
    unit = load("c")
    for w_m in (100.0, 1500.0):
        bench = Experiment(unit, w_m=w_m)
        bench.torque(unit.limits.torque_limit)
        bench.run(0.5)
        whole = bench.get("torque_max")
        bench.set_raw(heat_share=0x2000, heat_reason=LIMITED_OVERLOAD)
        bench.run(0.5)
        # Less torque leaves more of the voltage, so a quarter of the torque is a little more at high speed.
        assert bench.record(0.05)["true_torque"].mean() == pytest.approx(whole / 4, rel=0.1)
        assert bench.kernel.read("limited") == LIMITED_OVERLOAD
