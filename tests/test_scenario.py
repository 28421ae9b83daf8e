"""Scenarios: what is accepted, and that a refusal names file, key, value and rule."""

import json
import re
import tomllib

import pytest

from host_tools import scenario, scenario_language
from host_tools.errors import USAGE, UsageError

ARM = '[[phase]]\nname = "arm"\narm = true\nuntil = "ready"\n'
STOP = '[[phase]]\nname = "stop"\nstop = true\nuntil = "off"\n'


def spin(lines: str) -> str:
    """A scenario whose middle phase has `lines`."""
    return f'name = "x"\n{ARM}[[phase]]\nname = "spin"\n{lines}\n{STOP}'


def test_the_demo_arms_spins_loads_brakes_stops():
    found = scenario.load("demo")
    names = [phase.name for phase in found.phases]
    assert names[0] == "arm"
    assert names[-2:] == ["stop", "field down"]
    assert {phase.speed_rpm for phase in found.phases} >= {2000.0, -1000.0, 0.0}
    assert max(phase.load or 0 for phase in found.phases) == 2.0
    assert 7 <= found.seconds <= 12
    last = found.phases[-1].expect[0]
    assert (last.quantity, last.below, last.of) == ("i_f", 0.02, "i_f_max")


def test_defaults():
    found = scenario.parse(spin("duration = 1\nspeed_rpm = 100"))
    assert found.title == "x"
    assert found.rate_hz == 1000
    assert found.signals == scenario.SIGNALS
    assert not found.needs_load
    assert found.phases[1].ramp == 0


REFUSALS = {
    "duration = 1\nspeed_rpm = 100\nspeed = 5": ("phase[2].speed = 5: unknown key, do you mean", "speed_rpm"),
    "duration = 1\nspeed_rpm = 'fast'": ("phase \"spin\".speed_rpm = 'fast': is a number in rpm",),
    "duration = 1\nspeed_rpm = nan": ('phase "spin".speed_rpm = nan: lies outside',),
    "duration = 1\nspeed_rpm = true": ('phase "spin".speed_rpm = true: is a number',),
    "duration = -1\nspeed_rpm = 5": ('phase "spin".duration = -1: lies outside 0.01 .. 3600 s',),
    "speed_rpm = 5": ("phase \"spin\" = 'spin': give either duration or until",),
    "duration = 1\nuntil = 'off'": ("give either duration or until",),
    "until = 'running'": ("phase \"spin\".until = 'running': is one of off, ready",),
    "duration = 1\ntimeout = 3": ('phase "spin".timeout = 3: belongs to until',),
    "duration = 1\nspeed_rpm = 5\ntorque = 1": ("one setpoint a phase",),
    "duration = 1\narm = true": ('phase "spin".arm = true: the drive is armed already',),
    "duration = 1\nstop = true\ntorque = 1": ("a stop takes no setpoint",),
    "duration = 1\nramp = 0.5": ('phase "spin".ramp = 0.5: there is no setpoint or load to ramp',),
    "duration = 1\nspeed_rpm = 5\nramp = 2": ("is longer than the phase (1 s)",),
    "duration = 1\nspeed_rpm = 5\nramp = 1\nsettings = { acceleration = 3 }": ("both say how steep",),
    "duration = 1\nsettings = { acceleratoin = 3 }": ("no such setting, do you mean acceleration?",),
    "duration = 1\nsettings = { acceleration = -3 }": ("lies outside 0.1 .. 1e+06 rad/s2",),
    "duration = 1\ncurrents = { i_d = 1, i_x = 2 }": ('phase "spin".currents.i_x = 2: unknown key',),
    "duration = 1\ncurrents = 5": ("is a table { i_d, i_q, i_f } in A",),
    "duration = 1\nexpect = [{ quantity = 'i_f' }]": ("expect[1] = 'i_f': give one of equals, below, above",),
    "duration = 1\nexpect = [{ quantity = 'i_f', equals = 1 }]": (
        "equals takes either tolerance or percent",
    ),
    "duration = 1\nexpect = [{ quantity = 'i_f', below = 1, percent = 1 }]": ("the others none",),
    "duration = 1\nexpect = [{ quantity = 'i_f', equals = 0, percent = 1 }]": ("of zero is nothing",),
    "duration = 1\nexpect = [{ quantity = 'i_f', below = 1, last = 2 }]": ("is longer than the phase",),
    "duration = 1\nexpect = [{ quantity = 'i_f', below = 1, take = 'median' }]": (
        "is one of mean, min, max",
    ),
    "duration = 1\nexpect = [{ quantity = 'i_f', below = 1, of = 'i_f_mxa' }]": ("do you mean i_f_max?",),
    "duration = 1\nexpect = [{ quantity = 'i_x', below = 1 }]": ("quantity = 'i_x': is not logged",),
    "duration = 1\nexpect = 5": ("expect = 5: is a list of tables",),
    "duration = 1\nspeed_rpm = 5\nchirp = { of = 'speed', amplitude = 1, from_hz = 1, to_hz = 9 }": (
        "spin.toml:10: phase \"spin\".chirp.of = 'speed': is one of speed_rpm",
        "do you mean speed_rpm?",
    ),
    "duration = 1\nspeed_rpm = 5\nchirp = { of = 'torque', amplitude = 1, from_hz = 1, to_hz = 9 }": (
        "has no setpoint in this phase: give torque",
    ),
    "duration = 1\nspeed_rpm = 5\nchirp = { of = 'speed_rpm', amplitude = 1, from_hz = 9, to_hz = 1 }": (
        "chirp.to_hz = 1.0: is not above from_hz (9 Hz)",
    ),
    "duration = 1\nexpect = [\n  { quantity = 'i_f', below = 1 },\n  { quantity = 'i_q', below = 'x' },\n]": (
        "spin.toml:11: phase \"spin\".expect[2].below = 'x': is a number",
    ),
    "duration = 1\nexpect = [{ quantity = 'bandwidth_hz', above = 1 }]": ("which needs both",),
}


@pytest.mark.parametrize("lines", REFUSALS)
def test_refusals_name_file_key_value_and_rule(lines):
    with pytest.raises(UsageError) as refused:
        scenario.parse(spin(lines), "spin.toml")
    assert re.match(r"spin\.toml:\d+: ", refused.value.message)
    assert refused.value.code == USAGE
    for part in REFUSALS[lines]:
        assert part in refused.value.message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name = ", "is not TOML"),
        ("", "name: is missing"),
        ('name = "x"', "at least one [[phase]]"),
        (f'name = "x"\nspeed = 1\n{ARM}{STOP}', "speed = 1: unknown key"),
        (f'name = "x"\nrate_hz = 1e5\n{ARM}{STOP}', "rate_hz = 100000.0: lies outside 10 .. 5000 Hz"),
        (f'name = "x"\nsignals = ["i_q", "i_qq"]\n{ARM}{STOP}', "no such signal, do you mean i_q?"),
        (f'name = "x"\nsignals = ["sine"]\n{ARM}{STOP}', "a table has no value to stream"),
        (f'name = "x"\nsignals = ["i_q", "i_q"]\n{ARM}{STOP}', "each signal once"),
        (f'name = "x"\nsignals = {["i_q"] * 16}\n{ARM}{STOP}', "a stream takes 15 at most"),
        (f'name = "x"\n{ARM}{ARM}{STOP}', "two phases have this name"),
        (f'name = "x"\n{ARM}', "the last phase must leave the drive stopped"),
        ('name = "x"\n[[phase]]\nname = "a"\nduration = 1\ntorque = 1', "needs an arm = true before it"),
        ('name = "x"\n[[phase]]\nname = "a"\nduration = 1\narm = true\n' + STOP, "arming takes until ready"),
        ('name = "x"\n[[phase]]\nname = "a"\nuntil = "ready"', "never armed before"),
    ],
)
def test_whole_files_that_are_refused(text, part):
    with pytest.raises(UsageError) as refused:
        scenario.parse(text, "x.toml")
    assert part in refused.value.message


def test_an_unknown_scenario_lists_the_known_ones():
    with pytest.raises(UsageError) as refused:
        scenario.load("dmeo")
    assert "demo" in refused.value.hint


def test_rules_read_as_sentences():
    found = scenario.load("demo")
    rules = [rule.describe() for phase in found.phases for rule in phase.expect]
    assert "all of speed_rpm = 2000 ± 1 %" in rules
    assert "energy_regenerated > 5" in rules
    assert "all of i_f < 0.02 i_f_max" in rules


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("speed = [0, 1]", "x.toml:3: limits.speed = [0, 1]: is not logged, do you mean"),
        ("i_q = [1, 0]", "x.toml:3: limits.i_q = [1, 0]: is [low, high]"),
        ("i_q = 5", "limits.i_q = 5: is [low, high]"),
    ],
)
def test_limits_that_are_refused(line, part):
    with pytest.raises(UsageError) as refused:
        scenario.parse(f'name = "x"\n[limits]\n{line}\n{ARM}{STOP}', "x.toml")
    assert part in refused.value.message


def test_the_schema_beside_the_examples_is_this_languages():
    """`eesm run --schema > host_tools/scenarios/scenario.schema.json` when this fails."""
    kept = json.loads((scenario.FOLDER / "scenario.schema.json").read_text())
    assert kept == json.loads(json.dumps(scenario_language.schema()))


@pytest.mark.parametrize("name", scenario.names())
def test_each_example_fits_the_schema_and_names_it(name):
    found = scenario.load(name)
    assert found.text.startswith("#:schema scenario.schema.json\n")
    properties = scenario_language.schema()["properties"]
    assert set(tomllib.loads(found.text)) <= set(properties)
    phase = properties["phase"]["items"]["properties"]
    for row in tomllib.loads(found.text)["phase"]:
        assert set(row) <= set(phase)
