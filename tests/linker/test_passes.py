"""Every pass keeps the integers, alone and with the others, on random programs."""

import itertools
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from host_tools.linker import ALL, link
from host_tools.linker.schedule import corner_schedule, walk_schedule
from host_tools.linker.trace import compare_traces, run_engine

from .random_stages import StageWriter
from .small_table import Small, make_module

STEPS = 25
SETS = [(), ALL, *((name,) for name in ALL), *(tuple(n for n in ALL if n != name) for name in ALL)]


def compare(text: str, folder: Path, passes, engines) -> None:
    """Link stage text with some passes and compare engines with the plain stages."""
    module = make_module(folder, text)
    program = link([module.stage], Small, passes=passes)
    for make in (walk_schedule, corner_schedule):
        schedule = make(program, STEPS, 5)
        where = list(schedule.words).index(program.layout.offset["where"])
        schedule.values[:, where] = np.arange(STEPS) % 7
        plain = run_engine(program, schedule, "plain")
        for engine in engines:
            compare_traces(program, plain, run_engine(program, schedule, engine), "plain", engine)


# Shrinking a failure takes minutes and its text is short enough to read as it is.
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.data())
def test_passes_keep_the_integers_of_random_programs(data):
    text = StageWriter(lambda count: data.draw(st.integers(0, count - 1))).write()
    note(text)
    with tempfile.TemporaryDirectory() as folder:
        for passes in SETS:
            note(passes)
            compare(text, Path(folder), passes, ["python"])


@pytest.mark.parametrize("seed", range(40))
def test_any_set_of_passes_keeps_the_integers(seed, tmp_path):
    rng = random.Random(seed)
    text = StageWriter(rng.randrange).write()
    every = list(itertools.chain.from_iterable(itertools.combinations(ALL, n) for n in range(len(ALL) + 1)))
    for passes in rng.sample(every, 12):
        compare(text, tmp_path, passes, ["python"])


@pytest.mark.micropython
@pytest.mark.parametrize("seed", range(100, 130))
def test_viper_computes_the_same_on_random_programs(seed, tmp_path):
    text = StageWriter(random.Random(seed).randrange).write()
    compare(text, tmp_path, ALL, ["viper"])
    compare(text, tmp_path, (), ["viper"])


@pytest.mark.parametrize("seed", range(200, 206))
def test_c_computes_the_same_on_random_programs_without_overflow(seed, tmp_path):
    compare(StageWriter(random.Random(seed).randrange).write(), tmp_path, ALL, ["c"])


@pytest.mark.parametrize("seed", range(300, 303))
def test_numba_computes_the_same_on_random_programs(seed, tmp_path):
    compare(StageWriter(random.Random(seed).randrange).write(), tmp_path, ALL, ["numba"])
