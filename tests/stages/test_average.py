"""The means of the outer law: where they settle, how quickly; the field's voltage equation holds by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.virtual import plant
from eesm.parameters import OUTER_PERIODS
from eesm.signals import Signals
from eesm.stages.average import average, sum_exciter
from host_tools.experiment import Experiment
from host_tools.units import load
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)
CYCLES = 128


def pass_cycles(s: Signals, count: int) -> None:
    """Cycles of the outer law as `eesm.steps.outer_step` runs them; every tenth takes a letter."""
    for k in range(count):
        s.slot_rests = 1 if k % 10 == 0 else 0
        if s.slot_rests:
            sum_exciter(s)
        s.slot_rests = 0
        for _ in range(OUTER_PERIODS):
            sum_exciter(s)
        average(s)


@given(Q15, Q15, Q15)
def test_means_settle_where_their_signals_stay(u_f: int, i_f: int, i_d: int) -> None:
    s = make_signals(u_f=u_f, i_f=i_f, i_d=i_d, i_q=-i_d)
    pass_cycles(s, 12 * CYCLES)
    for name, value in (("u_f", u_f), ("i_f", i_f), ("i_d", i_d)):
        assert getattr(s, name + "_mean") / 8192 == pytest.approx(value, abs=1.5 + 0.0003 * abs(value))
    assert s.i_square_mean / 2**28 == pytest.approx(2 * (i_d / 32768) ** 2, abs=1e-4)
    s.u_f = 0
    pass_cycles(s, CYCLES)
    assert s.u_f_mean / 8192 == pytest.approx(u_f * np.exp(-1), abs=1 + 0.005 * abs(u_f))


@pytest.mark.parametrize("name", ["a", "b", "b_12v", "c"])
def test_r_f_follows_from_means_while_field_and_i_d_move(name: str) -> None:
    """u_f - R_f*i_f less the flux's slope is nothing, within 2 % of the exciter's supply."""
    unit = load(name)
    bench = Experiment(unit)
    s, i_f_max, i_max = bench.settings, unit.motor.i_f_max, unit.motor.i_max
    time = CYCLES * OUTER_PERIODS * bench.t_pwm
    for i_d, i_f in ((0.0, 0.5), (-0.3, 0.8), (0.1, 0.2), (0.0, 0.7)):
        bench.currents(i_d * i_max, 0.0, i_f * i_f_max)
        for _ in range(60):
            bench.run(0.002)
            u_f, i_f_mean = bench.get("u_f_mean"), bench.get("i_f_mean")
            rise = s["L_f"] * (bench.get("i_f") - i_f_mean)
            rise += 1.5 * s["M"] * (bench.get("i_d") - bench.get("i_d_mean"))
            missing = u_f - s["R_f"] * i_f_mean - rise / time
            assert abs(missing) < 0.02 * s["u_f_nominal"]
    assert bench.c[plant.R_F] == s["R_f"]
