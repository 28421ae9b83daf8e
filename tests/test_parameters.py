"""Parameters in files and in the history: what is saved comes back, and nothing else gets in."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm.parameters import LOOSE, SETTINGS, bases, derive
from host_tools import parameter_changes, parameter_file, units
from host_tools.cli import entry, params
from host_tools.errors import FAILED, OK, REFUSED, USAGE, ToolError, UsageError
from host_tools.link_errors import PortClosed, Refused


class FakeDrive:
    """Holds parameters; refuses what `rule` forbids, and counts what is asked of it."""

    def __init__(self, unit="a", rule=lambda values: None):
        self.identity = SimpleNamespace(
            unit=unit, board="virtual", firmware="0", kernel_hash="k", schema_hash="s", port="fake"
        )
        self.t_pwm = 5e-5
        self.values = {name: max(low, min(high, 1.0)) for name, (_, low, high, _) in SETTINGS.items()}
        self.rule = rule
        self.period = 20_000
        self.sets = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def now(self):
        return self.period

    def get(self, name):
        return self.values[name]

    def settings(self):
        return dict(self.values)

    def set(self, name, value):
        self.sets += 1
        self.period += 100
        changed = self.values | {name: value}
        why = self.rule(changed)
        if why:
            raise Refused(why, 0)
        self.values = changed
        return value


@pytest.fixture(autouse=True)
def own_history(tmp_path, monkeypatch):
    monkeypatch.setenv("EESM_STATE", str(tmp_path / "state"))


@pytest.fixture
def drive(monkeypatch):
    fake = FakeDrive()
    monkeypatch.setattr(params, "connect", lambda port, unit: fake)
    return fake


@pytest.fixture
def eesm(capsys):
    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


# --- files -------------------------------------------------------------------------------------------


@given(st.data())
def test_what_is_saved_is_read_to_nine_digits(tmp_path_factory, data):
    names = data.draw(st.lists(st.sampled_from(list(SETTINGS)), unique=True))
    values = {name: data.draw(st.floats(*SETTINGS[name][1:3])) for name in names}
    path = parameter_file.write(
        tmp_path_factory.mktemp("file") / "p.toml", values, FakeDrive().identity, tools='eesm "1"'
    )
    found = parameter_file.read(path)
    assert found.values == pytest.approx(values, rel=1e-8)
    assert found.identity["unit"] == "a"
    assert parameter_file.differences(values, found.values) == []


def test_a_file_says_unit_range_and_meaning(tmp_path):
    text = parameter_file.render({"R_s": 0.06}, FakeDrive().identity)
    assert "R_s = 0.06  # Ohm, 1e-05 .. 100: stator resistance" in text


REFUSALS = {
    "[parameters]\nR_q = 1.0": ("p.toml:2: R_q = 1.0: there is no such parameter, do you mean R_s?",),
    "[parameters]\n\nR_s = 'low'": ("p.toml:3: R_s = 'low': is a number in Ohm",),
    "[parameters]\nR_s = true": ("p.toml:2: R_s = true: is a number",),
    "[parameters]\nJ = 1.0\nR_s = 1e6": ("p.toml:3: R_s = 1000000.0: is outside 1e-05 .. 100 Ohm",),
    "[parameters]\nR_s = nan": ("is outside",),
    "R_s = 1.0": ("p.toml:1: R_s: unknown key",),
    "parameters = 5": ("p.toml:1: parameters = 5: is a table",),
    "[parameters]\nR_s = ": ("p.toml:2: is not TOML",),
}


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_name_file_line_key_value_and_range(tmp_path, text):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        parameter_file.read(path)
    for part in REFUSALS[text]:
        assert part in refused.value.message


def test_a_file_of_another_unit_is_refused(tmp_path):
    path = parameter_file.write(tmp_path / "p.toml", {"R_s": 0.06}, FakeDrive("b").identity)
    with pytest.raises(ToolError, match="belongs to unit b, the drive at fake is unit a") as refused:
        parameter_file.read(path).check(FakeDrive("a").identity)
    assert "--other-unit" in refused.value.hint
    path.write_text("[parameters]\nR_s = 0.06\n")
    with pytest.raises(ToolError, match="does not say which unit"):
        parameter_file.read(path).check(FakeDrive("a").identity)


# --- changes -----------------------------------------------------------------------------------------


def test_a_change_is_kept_with_device_time():
    drive = FakeDrive()
    parameter_changes.change(drive, {"bandwidth_speed": 12.0})
    found = parameter_changes.history(drive.identity)
    assert [(each.name, each.before, each.after) for each in found] == [("bandwidth_speed", 1.0, 12.0)]
    assert found[0].period == 20_100
    assert found[0].t == pytest.approx(1.005)
    assert parameter_changes.history(FakeDrive("b").identity) == []


def test_the_order_of_values_does_not_matter():
    low_first = FakeDrive(rule=lambda v: "trip below limit" if v["i_trip"] < v["i_max"] else None)
    parameter_changes.change(low_first, {"i_max": 50.0, "i_trip": 60.0})
    assert (low_first.values["i_max"], low_first.values["i_trip"]) == (50.0, 60.0)


def test_all_or_nothing():
    drive = FakeDrive(rule=lambda v: "J is 7 at most" if v["J"] > 7 else None)
    before = dict(drive.values)
    with pytest.raises(Refused, match="J is 7"):
        parameter_changes.change(drive, {"R_s": 2.0, "J": 9.0, "L_d": 0.5})
    assert drive.values == before
    assert parameter_changes.history(drive.identity) == []


def test_a_broken_link_is_raised_at_once():
    def cut(values):
        raise PortClosed("gone")

    with pytest.raises(PortClosed):
        parameter_changes.change(FakeDrive(rule=cut), {"R_s": 2.0})


def test_undo_takes_groups_back_one_by_one():
    drive = FakeDrive()
    parameter_changes.change(drive, {"R_s": 2.0})
    parameter_changes.change(drive, {"R_s": 3.0, "J": 4.0}, "load x.toml")
    parameter_changes.undo(drive)
    assert (drive.values["R_s"], drive.values["J"]) == (2.0, 1.0)
    parameter_changes.undo(drive)
    assert drive.values["R_s"] == 1.0
    with pytest.raises(ToolError, match="no change to take back"):
        parameter_changes.undo(drive)


def test_undo_refuses_what_the_drive_no_longer_holds():
    drive = FakeDrive()
    parameter_changes.change(drive, {"R_s": 2.0})
    drive.values["R_s"] = 5.0
    with pytest.raises(ToolError, match="R_s is 5, not 2 as the last change left it"):
        parameter_changes.undo(drive)
    assert drive.values["R_s"] == 5.0


def test_a_history_that_was_cut_short_is_read():
    drive = FakeDrive()
    parameter_changes.change(drive, {"R_s": 2.0})
    file = parameter_changes.history_file(drive.identity)
    file.write_text(file.read_text() + '{"group": 2, "na')
    assert len(parameter_changes.history(drive.identity)) == 1


# --- the command line ----------------------------------------------------------------------------------


def test_save_change_diff_load_undo(drive, eesm, tmp_path):
    file = tmp_path / "p.toml"
    assert eesm("params", "save", file)[0] == OK
    assert eesm("params", "save", file)[0] == USAGE
    assert eesm("params", "diff", file)[:2] == (OK, f"All {len(SETTINGS)} parameters are the same.\n")
    assert eesm("params", "set", "bandwidth_speed", 12)[1] == "bandwidth_speed = 12 Hz (was 1)\n"
    code, out, _ = eesm("params", "diff", file, "--json")
    assert (code, json.loads(out)) == (FAILED, [{"name": "bandwidth_speed", "before": 1.0, "after": 12.0}])
    code, _, err = eesm("params", "load", file)
    assert (code, drive.values["bandwidth_speed"]) == (USAGE, 12.0)
    assert "add --yes" in err
    assert eesm("params", "load", file, "--dry-run")[0] == OK
    assert drive.values["bandwidth_speed"] == 12.0
    code, out, _ = eesm("params", "load", file, "--yes")
    assert (code, drive.values["bandwidth_speed"]) == (OK, 1.0)
    assert "eesm params undo" in out
    assert eesm("params", "undo")[0] == OK
    assert drive.values["bandwidth_speed"] == 12.0
    code, out, _ = eesm("params", "log", "--json")
    assert [each["why"] for each in json.loads(out)] == ["set", "load p.toml", "undo"]


def test_another_units_file_is_loaded_only_when_told(drive, eesm, tmp_path):
    file = parameter_file.write(tmp_path / "b.toml", {"R_s": 0.5}, FakeDrive("b").identity)
    code, _, err = eesm("params", "load", file, "--yes")
    assert (code, drive.sets) == (REFUSED, 0)
    assert "belongs to unit b" in err
    assert eesm("params", "load", file, "--yes", "--other-unit")[0] == OK
    assert drive.values["R_s"] == 0.5


def test_a_value_out_of_range_is_refused_with_the_range(drive, eesm):
    code, _, err = eesm("params", "set", "bandwidth_speed", 1e9)
    assert (code, drive.sets) == (USAGE, 0)
    assert "outside 0.1 .. 200 Hz" in err
    assert "do you mean bandwidth_speed?" in eesm("params", "get", "bandwith_speed")[2]


def test_two_files_are_compared_without_a_drive(eesm, tmp_path):
    one, other = ({"R_s": 0.5, "J": 1.0}, {"R_s": 0.6, "J": 1.0})
    files = [
        parameter_file.write(tmp_path / f"{n}.toml", values, FakeDrive().identity)
        for n, values in enumerate((one, other))
    ]
    code, out, _ = eesm("params", "diff", *files)
    assert code == FAILED
    assert out.split() == ["R_s", "0.5", "->", "0.6", "Ohm"]


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_no_word_follows_from_a_loose_setting(unit):
    settings = units.load(unit).as_settings()
    words, scaling = derive(settings), bases(settings)
    for name in LOOSE:
        for value in SETTINGS[name][1:3]:
            changed = {**settings, name: value}
            assert (derive(changed), bases(changed)) == (words, scaling), name
