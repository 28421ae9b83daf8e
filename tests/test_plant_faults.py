"""Faults of the simulated machine: each does physically what it says, keeps energy, and can be ended."""

import inspect
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards.virtual import plant as P  # noqa: N812
from boards.virtual.plant import energy_residual, inject, run_period, set_currents, stored_energy
from host_tools.jitted import compile_plant
from host_tools.units import load

from .test_plant import BOTH, QUIET, STIFF, TOP, build, clear_energies, drive, steady

# Those that the plant's text has branches for.
ACTING = ("exciter_stuck", "exciter_stuck_low", "phase_open", "phase_shorted", "ground_fault")


def balance(x: list[float], c: list[float]) -> Callable[[], float]:
    """The residual of the energies from now on, over what went through terminals and shaft."""
    before = clear_energies(x, c)

    def tell() -> float:
        through = x[P.E_THROUGHPUT] + abs(x[P.E_SHAFT])
        return abs(energy_residual(x, c, before)) / through

    return tell


def turning(
    name: str, share: float, i_q: float = 0.2, **options: Any
) -> tuple[list, list, Any, float, float]:
    """(x, c, unit, i_f, w_m) at a held share of the top speed, with i_q as a share of i_max."""
    unit = load(name)
    w_m = share * unit.limits.w_m_max
    x, c, _ = build(name, held=1, w_m=w_m, **options)
    i_f = min(
        0.5 * unit.motor.i_f_max, 0.35 * unit.dc_link.u_nominal / (w_m * unit.motor.pole_pairs * unit.motor.M)
    )
    set_currents(x, c, 0.0, i_q * unit.motor.i_max, i_f)
    return x, c, unit, i_f, w_m


def off(x: list[float], c: list[float], periods: int, field: int = 0) -> None:
    """Run with the bridge off; `field` is the exciter's compare count, 0: off as well."""
    for _ in range(periods):
        run_period(x, c, 0, 0, 0, field, 2 if field else 0)


# --- all of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(P.FAULTS))
def test_a_fault_that_ended_leaves_the_machine_as_it_was(name: str) -> None:
    """At rest, so that the fault itself did nothing: then the same bits as without."""
    runs = []
    for faulty in (False, True):
        x, c, unit = build("a", theta_m=0.1)
        if faulty:
            inject(c, name, True, None, x)
            inject(c, name, False, None, x)
        drive(x, c, 200, *steady(unit, 1.0, 5.0, 2.0, 0.0))
        runs.append((list(x), list(c)))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ACTING)
def test_the_healthy_path_does_not_look_at_faults(name: str) -> None:
    """One flag guards them all: without it the machine is as if it were healthy."""
    runs = []
    for flag in (0.0, 1.0):
        x, c, unit = build("a", held=1, w_m=100.0, theta_m=0.1)
        inject(c, name)
        assert c[P.FAULTY] == 1
        c[P.FAULTY] = flag
        drive(x, c, 50, *steady(unit, 0.0, 10.0, 2.0, 100.0))
        off(x, c, 5)
        runs.append(list(x))
    assert runs[0] != runs[1]
    x, c, unit = build("a", held=1, w_m=100.0, theta_m=0.1)
    drive(x, c, 50, *steady(unit, 0.0, 10.0, 2.0, 100.0))
    assert x[P.I_GROUND] == x[P.I_SHORT] == x[P.E_FAULT] == 0


def test_amounts_are_checked() -> None:
    _, c, _ = build("a")
    with pytest.raises(ValueError, match=r"amount of field_shorted is 1, the share .* 0.01 .. 0.95 1"):
        inject(c, "field_shorted", True, 1.0)
    with pytest.raises(ValueError, match="exciter_open takes no amount; those that do: field_shorted"):
        inject(c, "exciter_open", True, 0.5)
    with pytest.raises(KeyError):
        inject(c, "rain")


# --- field -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "c_saturated"])
@pytest.mark.parametrize("shorted", [0.5, 0.3])
def test_shorted_turns_leave_a_field_of_fewer(name: str, shorted: float) -> None:
    """Flux, torque and energy stay at once; resistance and time constant become those of the turns left."""
    left = 1 - shorted
    x, c, unit = build(name, **QUIET, held=1)
    m = unit.motor
    i_f = 0.3 * m.i_f_max
    set_currents(x, c, 0.05 * m.i_max, 0.1 * m.i_max, i_f)
    stored, torque = stored_energy(x, c)[0], x[P.TORQUE_NOW]
    inject(c, "field_shorted", True, shorted, x)
    assert x[P.I_F] == pytest.approx(i_f / left)
    assert stored_energy(x, c)[0] == pytest.approx(stored, rel=1e-9)
    set_currents(x, c, x[P.I_D], x[P.I_Q], x[P.I_F])
    assert x[P.TORQUE_NOW] == pytest.approx(torque, rel=1e-9)
    inject(c, "field_shorted", False, None, x)
    assert x[P.I_F] == pytest.approx(i_f)
    # Steady current by the resistance left, and how fast it gets there.
    x, c, unit = build(name, **QUIET, held=1)
    inject(c, "field_shorted", True, shorted, x)
    tell = balance(x, c)
    tau = left * m.L_f / m.R_f
    u_f = 0.05 * left * m.R_f * m.i_f_max
    compare = u_f / x[P.U_DC] * TOP
    off(x, c, round(tau / c[P.H]), compare)  # pyright: ignore[reportArgumentType]
    assert x[P.I_F] == pytest.approx(0.05 * m.i_f_max * (1 - math.exp(-1)), rel=0.01)
    off(x, c, round(9 * tau / c[P.H]), compare)  # pyright: ignore[reportArgumentType]
    assert x[P.I_F] == pytest.approx(0.05 * m.i_f_max, rel=1e-3)
    assert tell() < 1e-4


@pytest.mark.parametrize("kind", ["unipolar", "half_bridge", "full_bridge"])
@pytest.mark.parametrize("gate", [0, 2, 3])
def test_a_stuck_exciter_is_at_its_supply_whatever_is_commanded(kind: str, gate: int) -> None:
    x, c, unit = build("a", exciter_kind=kind, **QUIET)
    inject(c, "exciter_stuck")
    tell = balance(x, c)
    for _ in range(round(8 * unit.motor.tau_f / c[P.H])):
        run_period(x, c, 1562, 1562, 1562, -TOP, gate)
    assert x[P.U_F] == pytest.approx(x[P.U_DC], rel=1e-3)
    assert x[P.I_F] == pytest.approx(x[P.U_DC] / unit.motor.R_f, rel=2e-3)
    assert tell() < 1e-4
    inject(c, "exciter_stuck", False)
    off(x, c, 10)
    assert x[P.U_F] <= 0


@pytest.mark.parametrize("kind", ["half_bridge", "full_bridge"])
@pytest.mark.parametrize("gate", [0, 2])
def test_an_exciter_stuck_low_cannot_reverse_the_field(kind: str, gate: int) -> None:
    """The field falls by its own time constant only, where the healthy one is forced down."""
    left = {}
    for fault in (False, True):
        x, c, unit = build("a", exciter_kind=kind, **QUIET)
        set_currents(x, c, 0.0, 0.0, 4.0)
        if fault:
            inject(c, "exciter_stuck_low")
        for _ in range(round(0.5 * unit.motor.tau_f / c[P.H])):
            run_period(x, c, 0, 0, 0, -TOP, gate)
        left[fault] = x[P.I_F]
    assert left[True] == pytest.approx(4.0 * math.exp(-0.5), rel=5e-3)
    assert left[False] <= 0
    for _ in range(2000):
        run_period(x, c, 0, 0, 0, TOP, 2)
    assert x[P.U_F] == pytest.approx(48, rel=0.02)


# --- phases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "b", "c", "c_saturated"])
@pytest.mark.parametrize("speed", [0.05, 0.4, 0.9])
def test_an_open_phase_carries_no_current_and_the_others_do(name: str, speed: float) -> None:
    x, c, unit, i_f, w_m = turning(name, speed)
    drive(x, c, 40, *steady(unit, 0.0, 0.2 * unit.motor.i_max, i_f, w_m))
    inject(c, "phase_open")
    tell = balance(x, c)
    u_0 = x[P.U_DC]
    most = rest = 0.0
    for k in range(400):
        drive(x, c, 1, *steady(unit, 0.0, 0.2 * unit.motor.i_max, i_f, w_m))
        if k == 0:
            # The arc burns what the phase's current had stored; the link must not get it.
            assert x[P.U_DC] == pytest.approx(u_0, rel=0.02)
        else:
            rest = max(rest, abs(x[P.I_A]))
            most = max(most, abs(x[P.I_B]))
    assert rest < 0.01 * unit.motor.i_max
    assert most > 8 * rest
    assert most > 0.05 * unit.motor.i_max
    assert tell() < 2e-3
    off(x, c, 40)
    assert abs(x[P.I_A]) + abs(x[P.I_B]) < 0.01 * unit.motor.i_max
    assert tell() < 3e-3
    inject(c, "phase_open", False)
    drive(x, c, 600, *steady(unit, 0.0, 0.2 * unit.motor.i_max, i_f, w_m))
    assert max(abs(x[P.I_A]), abs(x[P.I_B])) > 0.05 * unit.motor.i_max


def test_an_open_phase_leaves_the_rectifier_two_legs() -> None:
    """Over-excited with the bridge off: b and c charge the link, a does not."""
    x, c, _ = build("a", held=1, w_m=628.0)
    set_currents(x, c, 0.0, 0.0, 4.0)
    inject(c, "phase_open")
    tell = balance(x, c)
    most = rest = 0.0
    for _ in range(400):
        run_period(x, c, 0, 0, 0, TOP // 2, 2)
        most, rest = max(most, abs(x[P.I_B])), max(rest, abs(x[P.I_A]))
    assert x[P.E_STATOR] < 0 and most > 2 and rest < 0.02 * most
    assert tell() < 2e-3


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_short_circuit_between_phases_is_a_fast_over_current(name: str) -> None:
    """di/dt = u_ab/L at first, through the sensors of a and b, in opposite directions; c knows nothing."""
    x, c, unit, *_ = turning(name, 0.1, 0.0, **STIFF)
    free, c_free = list(x), list(c)
    inject(c, "phase_shorted")
    resistance, inductance = 0.5 * unit.motor.R_s, 0.01 * unit.motor.L_q
    tell = balance(x, c)
    for k in range(1, 4):
        run_period(x, c, 1700, 1425, 1562, 1562, BOTH)
        run_period(free, c_free, 1700, 1425, 1562, 1562, BOTH)
        if k == 1:
            final = unit.dc_link.u_nominal * 275 / TOP / resistance
            expected = final * (1 - math.exp(-c[P.H] * resistance / inductance))
            assert x[P.I_A] - free[P.I_A] == pytest.approx(expected, rel=0.02)
        assert x[P.I_A] - free[P.I_A] == pytest.approx(free[P.I_B] - x[P.I_B], rel=0.01)
        assert x[P.I_A] + x[P.I_B] == pytest.approx(free[P.I_A] + free[P.I_B], abs=0.01 * unit.motor.i_max)
    assert x[P.I_A] > unit.limits.i_trip
    assert x[P.E_FAULT] > 0 and tell() < 1e-3
    inject(c, "phase_shorted", False, None, x)
    run_period(x, c, 1562, 1562, 1562, 1562, BOTH)
    assert abs(x[P.I_A]) < 0.2 * unit.motor.i_max
    assert tell() < 1e-3


def test_a_short_circuit_of_other_inductance() -> None:
    x, c, _, *_ = turning("a", 0.1, 0.0)
    inject(c, "phase_shorted", True, 1e-3)
    run_period(x, c, 1700, 1425, 1562, 1562, BOTH)
    assert abs(x[P.I_SHORT]) == pytest.approx(48 * 275 / TOP / 1e-3 * c[P.H], rel=0.02)


@pytest.mark.parametrize("name", ["a", "c"])
def test_switches_off_do_not_end_a_short_circuit_in_the_machine(name: str) -> None:
    """The emf drives it round and brakes, pulsating; it ends with the field."""
    x, c, unit, *_ = turning(name, 0.3, 0.0)
    inject(c, "phase_shorted")
    tell = balance(x, c)
    torques = []
    for _ in range(2000):
        run_period(x, c, 0, 0, 0, 900, 2)
        torques.append(x[P.TORQUE])
        # The legs share what the diodes carry; the loop is inside.
        assert x[P.I_A] == pytest.approx(x[P.I_B], abs=1e-6 * unit.motor.i_max)
    assert abs(x[P.I_SHORT]) > 0 and x[P.E_COPPER_S] > 0
    assert np.mean(torques) < -0.01 * unit.limits.torque_rated
    assert max(torques) > 0 > min(torques)
    assert tell() < 5e-3
    off(x, c, round(unit.motor.tau_f / c[P.H]))
    assert x[P.I_F] == pytest.approx(0, abs=1e-6 * unit.motor.i_f_max) or name == "c"
    assert abs(x[P.TORQUE]) < 0.01 * unit.limits.torque_rated


def test_a_ground_fault_is_seen_by_the_third_sensor_only() -> None:
    x, c, unit, i_f, w_m = turning("a", 0.3)
    same, c_same = list(x), list(c)
    inject(c, "ground_fault")
    tell = balance(x, c)
    sums = []
    for _ in range(200):
        drive(x, c, 1, *steady(unit, 0.0, 8.0, i_f, w_m))
        drive(same, c_same, 1, *steady(unit, 0.0, 8.0, i_f, w_m))
        before = x[P.I_A], x[P.I_B], x[P.I_GROUND]
        assert before[:2] == pytest.approx((same[P.I_A], same[P.I_B]), abs=0.05)
        drive(x, c, 1, *steady(unit, 0.0, 8.0, i_f, w_m))
        drive(same, c_same, 1, *steady(unit, 0.0, 8.0, i_f, w_m))
        assert x[P.I_C] == before[2] - before[0] - before[1]
        sums.append(before[2])
    assert np.mean(sums) == pytest.approx(0.1 * unit.motor.i_max, rel=0.1)
    assert x[P.E_FAULT] > 0 and tell() < 1e-4
    off(x, c, 1)
    assert x[P.I_GROUND] == 0
    inject(c, "ground_fault", False, None, x)
    drive(x, c, 2, *steady(unit, 0.0, 8.0, i_f, w_m))
    assert x[P.I_GROUND] == 0


# --- link ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "b", "c", "c_saturated"])
@pytest.mark.parametrize("speed", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("alone", [False, True])
def test_active_short_circuit_keeps_energy(name: str, speed: float, alone: bool) -> None:
    """All low switches on, from full field, at speed, with the battery and without."""
    unit = load(name)
    x, c, _ = build(name, held=1, w_m=speed * unit.limits.w_m_max)
    i_f = 0.8 * unit.motor.i_f_max
    set_currents(x, c, 0.0, 0.0, i_f)
    if alone:
        inject(c, "battery_lost")
    tell = balance(x, c)
    u_0, most = x[P.U_DC], 0.0
    for _ in range(2000):
        run_period(x, c, 0, 0, 0, 0, 1)
        most = max(most, math.hypot(x[P.I_D], x[P.I_Q]))
    assert most > 0.5 * unit.motor.i_max
    assert abs(x[P.E_STATOR]) < 1e-9 * x[P.E_COPPER_S]
    assert tell() < 2e-3
    if alone:
        # Only the field's energy is left for the link, above what the clamp takes.
        returned = -x[P.E_FIELD] if c[P.OWN_SUPPLY] == 0 else 0.0
        expected = math.sqrt(u_0**2 + 2 * (returned - x[P.E_CLAMP]) / c[P.C_DC])
        assert x[P.U_DC] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["a", "c"])
def test_active_short_circuit_settles_where_the_formula_says(name: str) -> None:
    """i_d = -w^2*L_q*psi_f/(R^2 + w^2*L_d*L_q), i_q = -R*w*psi_f/(...), with a constant field current."""
    unit = load(name)
    m = unit.motor
    x, c, _ = build(name, held=1, w_m=0.5 * unit.limits.w_m_max, **QUIET, exciter_kind="half_bridge")
    i_f = 0.3 * m.i_f_max
    set_currents(x, c, 0.0, 0.0, i_f)
    w = x[P.W_M] * m.pole_pairs
    for _ in range(round(20 * m.tau_f / c[P.H])):
        run_period(x, c, 0, 0, 0, m.R_f * i_f / x[P.U_DC] * TOP, BOTH)  # pyright: ignore[reportArgumentType]
    psi = m.M * x[P.I_F]
    share = m.R_s**2 + w * w * m.L_d * m.L_q
    assert x[P.I_F] == pytest.approx(i_f, rel=1e-3)
    assert x[P.I_D] == pytest.approx(-w * w * m.L_q * psi / share, rel=2e-3)
    assert x[P.I_Q] == pytest.approx(-m.R_s * w * psi / share, rel=5e-3)


def test_load_dump_is_ended_by_the_active_short_circuit() -> None:
    """The link rises by P/(C*U) until the low switches close, then no more; energy balances throughout."""
    x, c, unit, i_f, w_m = turning("c", 0.5, -0.3)
    drive(x, c, 40, *steady(unit, 0.0, -0.3 * unit.motor.i_max, i_f, w_m))
    inject(c, "battery_lost")
    tell = balance(x, c)
    u_0 = x[P.U_DC]
    drive(x, c, 4, *steady(unit, 0.0, -0.3 * unit.motor.i_max, i_f, w_m))
    risen = x[P.U_DC]
    assert risen > 1.05 * u_0
    for _ in range(400):
        run_period(x, c, 0, 0, 0, 0, 3)
    assert x[P.U_DC] == pytest.approx(risen, rel=1e-3)
    assert tell() < 1e-3
    inject(c, "battery_lost", False)
    for _ in range(200):
        run_period(x, c, 0, 0, 0, 0, 3)
    assert x[P.U_DC] == pytest.approx(unit.dc_link.battery_emf, rel=0.01)


def test_load_dump_into_diodes_and_clamp() -> None:
    """Six switches off over-excited, battery lost: the clamp carries what the diodes bring."""
    x, c, _ = build("a", held=1, w_m=628.0)
    set_currents(x, c, 0.0, 0.0, 4.0)
    inject(c, "battery_lost")
    tell = balance(x, c)
    for _ in range(400):
        run_period(x, c, 0, 0, 0, 0, 2)
    assert x[P.E_CLAMP] > 0 and x[P.E_BATTERY] == 0
    assert tell() < 2e-3
    held = x[P.U_DC]
    # Without the clamp the emf's peak, line to line, is where it ends.
    x, c, unit = build("a", held=1, w_m=628.0, clamp_resistance=0)
    set_currents(x, c, 0.0, 0.0, 4.0)
    inject(c, "battery_lost")
    for _ in range(2000):
        run_period(x, c, 0, 0, 0, 0, 2)
    highest = 628 * 2 * unit.motor.M * x[P.I_F] * 3**0.5
    assert x[P.U_DC] > max(held, highest)


def test_a_link_that_is_emptied_stops_at_zero() -> None:
    x, c, unit, i_f, w_m = turning("a", 0.3)
    inject(c, "battery_lost")
    drive(x, c, 2000, *steady(unit, 0.0, 30.0, i_f, w_m))
    assert 0 < x[P.U_DC] < 30
    assert all(math.isfinite(word) for word in x)


def test_a_sagging_supply_and_its_return() -> None:
    x, c, unit = build("a")
    inject(c, "supply_sag", True, 0.25)
    off(x, c, 200)
    assert x[P.U_DC] == pytest.approx(36)
    inject(c, "supply_sag", True, 0.5)
    off(x, c, 200)
    assert x[P.U_DC] == pytest.approx(24)
    inject(c, "supply_sag", False)
    off(x, c, 200)
    assert x[P.U_DC] == pytest.approx(unit.dc_link.battery_emf)


# --- engines ---------------------------------------------------------------------------------------------


def faulty_run(x: Any, c: Any, step: Callable[..., None], inject_one: Callable[..., None]) -> list[float]:
    """State after every fault in turn, in each mode of the bridges."""
    r = 1
    turn = 0
    for name in [
        "exciter_stuck",
        "exciter_stuck_low",
        "field_shorted",
        "phase_open",
        "phase_shorted",
        "ground_fault",
        "supply_sag",
    ]:
        inject_one(c, name, True, None, x)
        for _ in range(90):
            r = P.shuffle(r)
            gate = (3, 3, 0, 2, 3, 1)[turn // 15 % 6]
            a = 1562 + ((r & 255) - 128) * (turn % 3)
            b = 1562 + (((r >> 8) & 255) - 128) * (turn % 2)
            step(x, c, a, b, 1562, 3125 - 2 * (turn * 5 % 3125), gate)
            turn += 1
        inject_one(c, name, False, None, x)
    return [float(word) for word in x]


@pytest.mark.parametrize("name", ["a", "b", "c", "c_saturated"])
def test_numba_is_faulty_like_cpython(name: str) -> None:
    run, _ = compile_plant()
    x, c, _ = build(name, iron_loss=1, w_m=0.3 * load(name).limits.w_m_max)
    y, k = np.array(x), np.array(c)
    assert faulty_run(x, c, run_period, inject) == faulty_run(y, k, run, inject)
    assert x[P.E_FAULT] > 0


SCRIPT = """
import sys, json
sys.path.insert(0, %r)
from boards.virtual import plant as P
%s
x, c = P.make_plant(json.loads(%r), 1, {"w_m": 100.0})
print(json.dumps(faulty_run(x, c, P.run_period, P.inject)))
"""


@pytest.mark.micropython
@pytest.mark.parametrize("name", ["a", "c_saturated"])
def test_micropython_is_faulty_alike(name: str, micropython: list[str], tmp_path: Path) -> None:
    """Through an i386 FPU, so to 1e-6 only."""
    text = "def faulty_run(x, c, step, inject_one):\n" + inspect.getsource(faulty_run).split("\n", 1)[1]
    root = str(Path(P.__file__).resolve().parents[2])
    script = tmp_path / "run.py"
    script.write_text(SCRIPT % (root, text, json.dumps(load(name).as_plant())))
    done = subprocess.run([*micropython, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    x, c, _ = build(name, w_m=100.0)
    expected = faulty_run(x, c, run_period, inject)
    assert json.loads(done.stdout) == pytest.approx(expected, rel=1e-6, abs=1e-6)
