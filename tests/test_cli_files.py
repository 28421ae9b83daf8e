"""What goes wrong with files: names, folders, a full disk, a pipe that closes; and an error of our own."""

import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import execution, files, log, scenario
from host_tools.cli import entry, record, shared
from host_tools.errors import BROKEN, OK, USAGE, MissingExtra, UsageError
from tests.fake_bench import FakeBench
from tests.test_repository import ROOT


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The log of a short run, in three forms."""
    folder = tmp_path_factory.mktemp("recorded")
    text = '[[phase]]\nname = "rest"\nduration = 0.05\n'
    execution.execute(scenario.parse(f'name = "x"\n{text}'), FakeBench(), folder)
    return folder


@pytest.fixture
def eesm(capsys, tmp_path, monkeypatch, recorded):
    """eesm(*arguments) -> (code, stdout, stderr), in a folder with `run.eesmlog`, .parquet and .csv."""
    monkeypatch.chdir(tmp_path)
    for name in ("run.eesmlog", "run.parquet", "run.csv"):
        (tmp_path / name).write_bytes((recorded / name).read_bytes())

    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


def test_a_dot_in_a_name_is_part_of_it():
    assert files.named("run-1.5Nm", ".eesmlog") == Path("run-1.5Nm.eesmlog")
    assert files.named("a/run.csv", ".eesmlog") == Path("a/run.eesmlog")
    for folder in (".", "..", "/"):
        with pytest.raises(UsageError, match="is a folder"):
            files.named(folder, ".csv")


def test_a_converted_log_keeps_its_whole_name(eesm, tmp_path):
    code, out, _ = eesm("convert", "run.eesmlog", "-o", "run-1.5Nm")
    assert code == OK
    assert "run-1.5Nm.parquet, run-1.5Nm.csv" in out
    assert (tmp_path / "run-1.5Nm.csv").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "run.eesmlog", "-o"],
        ["repair", "run.eesmlog", "-o"],
        ["report", "run.eesmlog", "-o"],
        ["compare", "run.eesmlog", "run.csv", "-o"],
        ["plot", "run.eesmlog", "-o"],
        ["log", "-o"],
        ["capture", "-o"],
        ["speed", "100", "--arm", "--log"],
        ["simulate", "step", "-o"],
    ],
)
def test_a_place_that_takes_no_file_is_named_before_anything_moves(eesm, arguments):
    # Without a drive, log, capture and speed would otherwise say that there is none.
    code, _, err = eesm(*arguments, "/proc/nowhere/x.png")
    assert (code, err.splitlines()[0][:34]) == (USAGE, "eesm: Cannot write /proc/nowhere/x")
    assert "next: " in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["log", "-o", "run"],
        ["capture", "-o", "run"],
        ["speed", "1", "--log", "run"],
        ["repair", "run.csv", "-o", "run.eesmlog"],
    ],
)
def test_what_was_recorded_is_not_written_over(eesm, tmp_path, arguments):
    before = (tmp_path / "run.eesmlog").read_bytes()
    code, _, err = eesm(*arguments)
    assert code == USAGE
    assert "is there already" in err
    assert "give another name" in err
    assert (tmp_path / "run.eesmlog").read_bytes() == before


def test_what_is_made_of_a_log_is_made_again(eesm):
    for _ in range(2):
        assert eesm("report", "run.eesmlog")[0] == OK
        assert eesm("repair", "run.eesmlog")[0] == OK


@pytest.mark.parametrize("name", ["run.parquet", "run.csv"])
@pytest.mark.parametrize("command", ["convert", "report", "plot"])
def test_a_damaged_file_is_no_traceback(eesm, tmp_path, command, name):
    whole = (tmp_path / name).read_bytes()
    for length in (6, 20, 300, len(whole) // 2, len(whole) - 9):
        (tmp_path / name).write_bytes(whole[:length])
        code, _, err = eesm(command, name)
        # A CSV that ends with a whole line is a shorter log.
        assert code == USAGE or (name == "run.csv" and code == OK), err
        assert "An error in these tools" not in err


def test_no_form_is_no_success(eesm):
    code, _, err = eesm("convert", "run.eesmlog", "--to", "")
    assert code == USAGE
    assert "parquet" in err


def test_a_full_disk_is_named_with_the_file():
    writer = log.Writer("/dev/full", {})
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        writer.note("x", text="y" * 100_000)
    with pytest.raises(OSError, match="/dev/full"):
        writer.close()
    writer.close()  # nothing is left to do


def test_an_error_of_the_tools_says_how_to_see_where(eesm, monkeypatch):
    monkeypatch.setattr(log, "read", lambda path: {}["nothing"])
    code, _, err = eesm("convert", "run.eesmlog")
    assert code == BROKEN
    assert "An error in these tools, KeyError: 'nothing'" in err
    assert "next: eesm --traceback convert run.eesmlog" in err
    with pytest.raises(KeyError):
        entry.run(["--traceback", "convert", "run.eesmlog"])


def test_a_full_disk_has_an_exit_code_of_its_own(eesm, monkeypatch):
    def fill(*_):
        raise OSError(28, "No space left on device", "run.parquet")

    monkeypatch.setattr(log, "convert", fill)
    code, _, err = eesm("convert", "run.eesmlog")
    assert code == BROKEN
    assert "run.parquet: No space left on device." in err


def test_a_reader_that_has_enough_is_no_failure():
    """`eesm faults explain | head -1`, with more than a pipe holds behind it."""
    command = f"{sys.executable} -m host_tools.cli faults --json explain | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[0\n", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["log", "--for", "nan"], "nan is not a number"),
        (["log", "--rate", "inf"], "inf is not a number"),
        (["speed", "nan", "--arm"], "nan is not a number"),
        (["tune", "--current", "nan"], "nan is not a number"),
        (["capture", "--bogus"], "No such option '--bogus'"),
        (["capture", "--level", "5"], "--level 5 needs a signal"),
        (["capture", "--edge", "rising"], "--edge rising needs a signal"),
        (["capture", "--edge", "now", "--trigger", "i_q"], "--edge now looks at no signal"),
        (["capture", "--wait", "-3"], "-3.0 is not in the range"),
        (["tune", "--bode", "nope"], "has to end in .png, .svg or .pdf"),
        (["virtual", "--fault", "encoder_lst"], "No fault of a virtual drive is called 'encoder_lst'"),
        (["monitor"], "needs a terminal"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_drive_is_looked_for(eesm, arguments, part):
    code, out, err = eesm(*arguments)
    assert (code, out) == (USAGE, "")
    assert part in err


def test_brackets_are_text(eesm, tmp_path, capsys, monkeypatch):
    """Of names, and of the extra that is missing: Rich would take them for colours."""
    text = '[[phase]]\nname = "[/bold]"\nsay = "[red]"\nduration = 0.05\n'
    (tmp_path / "[x].toml").write_text(f'name = "x"\n{text}')
    code, out, err = eesm("run", "[x].toml", "-o", "[out]")
    assert code == OK, err
    assert "1/1 [red]" in out
    assert "See [out]/report.html" in out

    def miss(*_):
        raise MissingExtra("pyarrow", "log", "Converting a log")

    monkeypatch.setattr(log, "convert", miss)
    shared.finish_log(tmp_path / "run.eesmlog")
    assert "pip install 'eesm[log]'" in capsys.readouterr().out


def test_one_signal_is_called_by_its_name():
    assert record.signals_text(["i_q"]) == "i_q"
    assert record.signals_text(["i_q", "i_d"]) == "2 signals"
