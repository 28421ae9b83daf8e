"""The `strategy` of a unit file: which tables it makes, and that every one gives the torque."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host_tools.build import link_unit, tables_of
from host_tools.experiment import Experiment
from host_tools.references.strategies import STRATEGIES as SOLVED
from host_tools.units import BOARDS, STRATEGIES, Unit, UnitError, load


def with_strategy(strategy: str) -> Unit:
    unit = load("a")
    return replace(unit, control=replace(unit.control, strategy=strategy, field_floor=0.0))


def test_a_unit_may_name_every_strategy_that_is_solved() -> None:
    assert list(STRATEGIES) == list(SOLVED)


def test_a_unit_file_names_its_strategy_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    text = (BOARDS / "units" / "a.toml").read_text()
    for name in ("unity_power_factor", "cheapest"):
        (tmp_path / f"{name}.toml").write_text(text.replace("[control]", f'[control]\nstrategy = "{name}"'))
    assert load("a").as_settings()["strategy"] == "optimal"
    assert load(tmp_path / "unity_power_factor.toml").as_settings()["strategy"] == "unity_power_factor"
    with pytest.raises(UnitError, match=r"strategy.*cheapest"):
        load(tmp_path / "cheapest.toml")


def test_tables_follow_the_strategy() -> None:
    found = {name: tables_of(with_strategy(name))[0] for name in STRATEGIES}
    first = {name: np.array(found[name]["table_i_f"][:17]) for name in STRATEGIES}  # standstill, by torque
    i_d = {name: np.array(found[name]["table_i_d"][:17]) for name in STRATEGIES}
    for name in ("i_d_zero", "constant_field", "proportional_field"):
        assert not i_d[name][:-1].any()  # the last column lies on the limits
    assert np.all(i_d["optimal"][1:-1] > 0)  # L_d > L_q
    assert np.all(i_d["unity_power_factor"][1:] < 0)
    assert len(set(first["constant_field"].tolist())) == 1
    assert np.all(np.diff(first["optimal"]) >= 0) and first["optimal"][0] == 0
    columns = (np.sqrt(0.25 + 2 * np.linspace(0, 1, 17)) - 0.5) ** 2
    slope = first["proportional_field"][8] / columns[8]
    assert first["proportional_field"] == pytest.approx(
        np.minimum(slope * columns, first["constant_field"]), abs=2
    )


def test_every_strategy_gives_the_torque_and_none_costs_less_than_the_optimum() -> None:
    loss = {}
    for name in STRATEGIES:
        unit = with_strategy(name)
        bench = Experiment(unit, w_m=60.0, linked=link_unit(unit))
        bench.torque(0.88)
        bench.run(0.6)
        loss[name] = bench.loss(0.1)
        torque = bench.record(0.05)["true_torque"].mean()
        assert torque == pytest.approx(0.88, rel=0.015), name
    assert loss["optimal"] <= 1.005 * min(loss.values())
    assert loss["optimal"] < loss["unity_power_factor"] < loss["constant_field"]
    assert loss["i_d_zero"] < loss["unity_power_factor"]
    assert loss["constant_field"] > 1.8 * loss["optimal"]
