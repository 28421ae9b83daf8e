"""The float twin: the translation of stages, and that the comparison sees what it shall see."""

import math

import numpy as np
import pytest

from eesm.stages.fixed import divide, mul15, root_of, wrap
from eesm.stages.transforms import park
from host_tools.accept import twin
from host_tools.accept.floats import Twin, derive_exactly, place_signals, translate
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment
from host_tools.units import load

PLACE = place_signals()


def test_signals_have_places_of_their_own() -> None:
    assert len(set(PLACE.values())) == len(PLACE)
    assert "stream_ring" not in PLACE and "table_i_f" in PLACE


def test_helpers_become_exact() -> None:
    memory = np.zeros(PLACE[""])
    assert translate(mul15, PLACE)(12345, 321) == 12345 * 321 / 32768  # not rounded
    assert translate(root_of, PLACE)(memory, 2.0) == pytest.approx(math.sqrt(2))
    assert translate(divide, PLACE)(1.0, 3.0, 4) == pytest.approx(16 / 3)
    assert translate(wrap, PLACE)((1 << 30) - 7.5) == -7.5


def test_a_stage_becomes_its_formula() -> None:
    memory = np.zeros(PLACE[""])
    angle = 0.3
    for name, value in (
        ("i_alpha", 1000.5),
        ("i_beta", -200.25),
        ("cos_e", 32768 * math.cos(angle)),
        ("sin_e", 32768 * math.sin(angle)),
    ):
        memory[PLACE[name]] = value
    translate(park, PLACE)(memory)
    assert memory[PLACE["i_d"]] == pytest.approx(1000.5 * math.cos(angle) - 200.25 * math.sin(angle))
    assert memory[PLACE["i_q"]] == pytest.approx(-200.25 * math.cos(angle) - 1000.5 * math.sin(angle))


def test_gains_are_not_rounded() -> None:
    bench = Experiment(load("a"))
    exact = derive_exactly(bench.settings, bench.loop.bases)
    for name, word in bench.kernel.words.items():
        assert exact[name] == pytest.approx(word, abs=1.01, rel=2e-3)
    l_q, psi, i = bench.settings["L_q"], bench.loop.bases["psi"], bench.loop.bases["i"]
    assert exact["k_l_q"] / 2 ** exact["k_l_q_shift"] == pytest.approx(l_q * i / psi, rel=1e-12)


@pytest.mark.slow
def test_comparison_is_small_for_the_law_and_large_for_another() -> None:
    """A q gain that is 20 % off, as a wrong shift or rounding would make it, is seen."""
    unit = load("a")
    sheet = Sheet("a", "twin")
    twin.compare(unit, sheet, "currents", twin.step_currents)
    assert sheet.results[0].measured < 0.1

    class Wrong(Twin):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            assert self.floats is not None
            self.floats.p[PLACE["k_q_p"]] *= 0.8
            self.floats.p[PLACE["k_l_d"]] *= 0.8

    right, wrong = twin.step_currents(Experiment, unit), twin.step_currents(Wrong, unit)
    gap = right["true_i_q"] - wrong["true_i_q"]
    assert np.sqrt(np.mean(gap**2)) / unit.sensing.i_full_scale > 5 * sheet.results[0].measured / 100


def test_constants_and_tables_reach_the_twin() -> None:
    bench = Twin(load("a"))
    assert bench.floats is not None
    p = bench.floats.p
    assert p[PLACE["pwm_top"]] == 3125
    table = bench.kernel.offset["table_i_f"]
    assert (
        p[PLACE["table_i_f"] : PLACE["table_i_f"] + 289].tolist() == bench.block[table : table + 289].tolist()
    )
    bench.currents(0.001, 0, 1)
    assert p[PLACE["i_d_set"]] == 0.001 / bench.kernel.step["i_d_set"]  # finer than a word
