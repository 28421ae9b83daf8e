"""Drive units: what is shipped loads, what does not fit is refused with key, value and rule."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.virtual import plant, sensors
from eesm import parameters
from host_tools import units
from host_tools.units import BOARDS, UnitError, load, load_motor

MOTOR = tomllib.loads((BOARDS / "motors" / "a_lab_48v.toml").read_text())
UNIT = tomllib.loads((BOARDS / "units" / "a.toml").read_text())
MOTOR_KEYS = sorted((s, k) for s in ("machine", "limits", "shaft", "iron") for k in MOTOR[s])
UNIT_KEYS = sorted((s, k) for s, table in UNIT.items() if isinstance(table, dict) for k in table)
UNIT_NUMBERS = [(s, k) for s, k in UNIT_KEYS if isinstance(UNIT[s][k], dict)]


def write(path: Path, data: dict[str, Any]) -> Path:
    """Write a dictionary of sections of small tables as TOML."""

    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{k} = {shown(v)}" for k, v in value.items()) + " }"
        return repr(value)

    lines = [f"{k} = {shown(v)}" for k, v in data.items() if not isinstance(v, dict)]
    for name, table in data.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{k} = {shown(v)}" for k, v in table.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def with_motor(folder: Path, section: str, key: str, entry: Any) -> Path:
    """Unit a with one entry of its motor replaced, or removed where `entry` is None."""
    data = {s: dict(t) if isinstance(t, dict) else t for s, t in MOTOR.items()}
    if entry is None:
        del data[section][key]
    else:
        data[section][key] = entry
    write(folder / "odd_motor.toml", data)
    return write(folder / "odd.toml", UNIT | {"motor": "odd_motor", "name": "odd"})


def with_unit(folder: Path, section: str, key: str, entry: Any) -> Path:
    data = {s: dict(t) if isinstance(t, dict) else t for s, t in UNIT.items()}
    if entry is None:
        del data[section][key]
    else:
        data[section][key] = entry
    return write(folder / "odd.toml", data | {"name": "odd"})


def refusal(path: Path) -> str:
    with pytest.raises(UnitError) as caught:
        load(path)
    return str(caught.value)


def number(value: Any, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "status": "EST", "source": "test"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("units")


@pytest.mark.parametrize("name", units.unit_names())
def test_shipped_unit_loads_and_scales(name: str) -> None:
    unit = load(name)
    settings = unit.as_settings()
    assert 0 < unit.motor.sigma < 1
    assert set(parameters.SETTINGS) <= set(settings)
    for key, (text, low, high, _) in parameters.SETTINGS.items():
        assert low <= float(settings[key]) <= high, (key, text)
    parameters.constants(settings)
    assert all(isinstance(word, int) for word in parameters.derive(settings).values())
    x, c = plant.make_plant(unit.as_plant(), 1)
    y, k = sensors.make_sensors(unit.as_plant(), 1)
    raw = [0] * 5
    sensors.settle(x, y, k, raw)
    plant.run_period(x, c, 0, 0, 0, 0, 0)
    assert all(math.isfinite(value) for value in x)


def test_the_three_parameter_sets() -> None:
    """sigma and tau_f of the sets, computed by hand from their definition."""
    for name, sigma, tau_f in (("a", 0.233, 67e-3), ("b", 0.578, 86e-3), ("c", 0.212, 88e-3)):
        motor = load(name).motor
        assert motor.sigma == pytest.approx(sigma, abs=1e-3)
        assert motor.tau_f == pytest.approx(tau_f, rel=0.01)
        assert motor.sigma_L_d == pytest.approx(motor.sigma * motor.L_d)
        assert all(status in units.STATUSES and source for status, source in motor.provenance.values())
    assert [load(n).limits.torque_rated for n in "abc"] == [3.5, 3.5, 400]
    assert load("b_12v").exciter.kind == "unipolar"
    assert load("c_saturated").motor.saturation is not None


def test_file_of_ones_own_with_its_motor_beside_it(folder: Path) -> None:
    path = with_motor(folder, "machine", "R_s", number(0.07, "Ohm"))
    assert load(path).motor.R_s == 0.07
    assert load(str(path)).name == "odd"


def test_unknown_unit_suggests(folder: Path) -> None:
    with pytest.raises(UnitError, match="b_12: no such drive unit; did you mean b_12v"):
        load("b_12")
    with pytest.raises(UnitError, match="did you mean c_traction"):
        load_motor("c_tracton")
    (folder / "broken.toml").write_text("name = ")
    assert "not a TOML file" in refusal(folder / "broken.toml")
    assert "no such file; did you mean" in refusal(write(folder / "based.toml", {"based_on": "brokn"}))


@given(key=st.sampled_from(MOTOR_KEYS), value=st.floats(-1e6, -1e-9))
def test_negative_value_of_a_motor_is_refused(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str], value: float
) -> None:
    unit = MOTOR[key[0]][key[1]]["unit"]
    text = refusal(with_motor(tmp_path_factory.mktemp("m"), *key, number(value, unit)))
    assert f"odd_motor.toml: {key[0]}.{key[1]}" in text
    assert f"{value:g}" in text or "whole number" in text


@given(key=st.sampled_from(MOTOR_KEYS + UNIT_NUMBERS), unit=st.sampled_from(["K", "", "ohm", "kg", "Mhz"]))
def test_wrong_unit_is_refused(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str], unit: str
) -> None:
    """Case counts too: mHz is not MHz."""
    section, name = key
    base = tmp_path_factory.mktemp("u")
    if section in MOTOR and name in MOTOR[section]:
        text = refusal(with_motor(base, section, name, MOTOR[section][name] | {"unit": unit}))
    else:
        text = refusal(with_unit(base, section, name, UNIT[section][name] | {"unit": unit}))
    assert f"{section}.{name}" in text and repr(unit) in text and "needs" in text


@pytest.mark.parametrize(("section", "key"), MOTOR_KEYS + UNIT_KEYS)
def test_missing_value_is_refused_or_has_a_default(folder: Path, section: str, key: str) -> None:
    if section in MOTOR and key in MOTOR[section]:
        path = with_motor(folder, section, key, None)
        default = (section, key) in {("shaft", "B"), ("shaft", "T_c"), ("iron", "k_h"), ("iron", "k_e")}
    else:
        path = with_unit(folder, section, key, None)
        default = section in ("transmission", "encoder") or (
            section == "control"
            and key in ("field_floor", "field_help", "u_margin", "dead_time_compensated", "host_timeout")
        )
    if default:
        load(path)
    else:
        assert f"{section}.{key}" in refusal(path)


@pytest.mark.parametrize(
    "entry", [60, "60 mOhm", [60, "mOhm"], {"unit": "Ohm"}, number("60", "Ohm"), number(True, "Ohm")]
)
def test_value_of_the_wrong_form_is_refused(folder: Path, entry: Any) -> None:
    assert "machine.R_s" in refusal(with_motor(folder, "machine", "R_s", entry))


def test_value_without_source_or_status_is_refused(folder: Path) -> None:
    text = refusal(with_motor(folder, "machine", "L_d", {"value": 1.1, "unit": "mH"}))
    assert "machine.L_d.status" in text and "machine.L_d.source" in text


def test_unknown_keys_and_sections_are_refused_with_a_suggestion(folder: Path) -> None:
    assert "encoder.cuonts: unknown key; did you mean counts?" in refusal(
        with_unit(folder, "encoder", "cuonts", {"value": 1024, "unit": "1"})
    )
    assert "sensng: unknown; did you mean sensing?" in refusal(
        write(folder / "odd.toml", UNIT | {"sensng": {}})
    )
    assert "did you mean half_bridge" in refusal(with_unit(folder, "exciter", "kind", "halfbridge"))
    assert "encoder.reversed" in refusal(with_unit(folder, "encoder", "reversed", 1))
    assert "unknown; did you mean value" in refusal(
        with_unit(folder, "limits", "n_max", {"vlaue": 6000, "unit": "rpm"})
    )


def test_sigma_must_be_positive(folder: Path) -> None:
    """Gym-electric-motor's default set has sigma = -0.31 and grows without end."""
    text = refusal(with_motor(folder, "machine", "L_f", number(0.25, "H")))
    assert "machine.M = 0.015 H" in text and "sigma" in text and "0.3068" in text


@pytest.mark.parametrize(
    ("section", "key", "value", "unit", "rule"),
    [
        ("limits", "i_trip", 40, "A", "i_max = 40 A"),
        ("limits", "i_f_trip", 5, "A", "1.5*i_f_max = 6 A"),
        ("sensing", "i_full_scale", 60, "A", "1.25*i_trip = 70 A"),
        ("sensing", "i_f_full_scale", 7, "A", "1.25*i_f_trip = 8 A"),
        ("sensing", "u_dc_full_scale", 70, "V", "1.25*u_trip = 75 V"),
        ("dc_link", "u_min", 47, "V", "95 % of u_nominal"),
        ("dc_link", "u_min", 15, "V", "18.75 V"),
        ("dc_link", "u_trip", 50, "V", "1.15*u_nominal"),
        ("dc_link", "battery_emf", 61, "V", "between u_min"),
        ("dc_link", "clamp_voltage", 47, "V", "between u_nominal and u_trip"),
        ("exciter", "u_nominal", 24, "V", "fed by the link"),
        ("encoder", "counts", 100, "1", "128*pole_pairs"),
        ("limits", "n_max", 7000, "rpm", "the motor allows 6000 rpm"),
        ("limits", "n_trip", 9000, "rpm", "2 to 20 % above"),
        ("limits", "torque_max", 9, "N.m", "N.m at most"),
        ("limits", "torque_rated", 7.5, "N.m", "torque_max = 7.2"),
        ("limits", "torque_limit", 7.5, "N.m", "torque_max = 7.2"),
        ("control", "bandwidth_current", 800, "Hz", "at most 742.7 Hz"),
        ("control", "bandwidth_field", 300, "Hz", "bandwidth_current/2.5"),
        ("control", "bandwidth_speed", 30, "Hz", "bandwidth_pll/4"),
        ("control", "bandwidth_pll", 400, "Hz", "bandwidth_current/2"),
        ("control", "dead_time_compensated", 2, "us", "chatter"),
        ("control", "dead_time_zone", 20, "A", "quarter of i_max"),
        ("control", "u_margin", 0.5, "1", "0 .. 0.3"),
        ("limits", "acceleration", 0, "rad/s2", "above 0"),
    ],
)
def test_contradiction_is_refused(
    folder: Path, section: str, key: str, value: float, unit: str, rule: str
) -> None:
    text = refusal(with_unit(folder, section, key, {"value": value, "unit": unit}))
    line = next(line for line in text.splitlines() if f"{section}.{key}" in line)
    assert f"odd.toml: {section}.{key} = {value:g}" in line
    assert rule in line


def test_fast_machine_is_refused_when_a_turn_has_too_few_periods(folder: Path) -> None:
    text = refusal(with_motor(folder, "machine", "pole_pairs", number(16, "1")))
    assert "limits.n_trip" in text and "10.9 PWM periods a turn" in text


def test_all_problems_are_told_at_once(folder: Path) -> None:
    data = dict(UNIT)
    data["limits"] = UNIT["limits"] | {
        "i_trip": {"value": -1, "unit": "A"},
        "n_max": {"value": 6000, "unit": "Hz"},
    }
    text = refusal(write(folder / "odd.toml", data))
    assert "limits.i_trip = -1 A" in text and "limits.n_max" in text


@given(value=st.floats(1e-3, 900))
def test_spellings_of_a_unit_agree(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    base = tmp_path_factory.mktemp("s")
    plain = load(with_motor(base, "machine", "R_s", number(value / 1000, "Ohm"))).motor.R_s
    milli = load(with_motor(base, "machine", "R_s", number(value, "mOhm"))).motor.R_s
    assert milli == pytest.approx(plain, rel=1e-15)
