"""Reports of any log, and two runs over each other."""

import json

import numpy as np
import pytest

from host_tools import compare, execution, log, report, scenario
from host_tools.cli import entry
from host_tools.errors import OK, USAGE, UsageError
from tests.fake_bench import FakeBench
from tests.test_figures import make_run
from tests.test_report import Reader


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the demo, the second with another parameter."""
    folder = tmp_path_factory.mktemp("runs")
    for name, i_max in (("a", 40.0), ("b", 35.0)):
        bench = FakeBench()
        bench.set("i_max", i_max)
        execution.execute(scenario.load("demo"), bench, folder / name)
    return folder


@pytest.fixture
def eesm(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def is_whole(text):
    reader = Reader()
    reader.feed(text)
    return reader.open == [] and all(link.startswith("#") for link in reader.links)


def pulse(at):
    """Two seconds with a smooth pulse at `at` seconds."""
    return make_run(i_q=5 * np.exp(-(((np.arange(2000) * 1e-3 - at) / 0.05) ** 2)))


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.8), (0.8, 0.5), (1.0, 1.0)])
def test_runs_are_aligned_by_a_signal(a, b):
    assert compare.find_shift(pulse(a), pulse(b), "i_q") == pytest.approx(a - b, abs=1.1e-3)


def test_aligned_runs_have_no_difference_left():
    one, other = pulse(0.5), pulse(0.8)
    apart, over = (
        compare.figures(compare.compare(one, other, ["i_q"], align))[0]["rms_difference"]
        for align in ("", "i_q")
    )
    assert apart > 1.0
    assert over < 0.05


def test_what_does_not_move_aligns_nothing():
    with pytest.raises(UsageError, match="i_d does not move"):
        compare.compare(pulse(0.5), pulse(0.5), align="i_d")
    with pytest.raises(UsageError, match="i_x is not in A, which has w_e"):
        compare.compare(pulse(0.5), pulse(0.5), ["i_x"])


def test_compare_writes_a_page_and_a_picture(runs, eesm, tmp_path):
    first, second = runs / "a" / "run.parquet", runs / "b" / "run.eesmlog"
    code, out, err = eesm("compare", first, second, "--json")
    assert code == OK, err
    told = json.loads(out)
    assert told["files"] == ["compare.html", "compare.png"]
    assert {row["quantity"] for row in told["figures"]} >= {"speed_rpm", "i_q"}
    assert all(row["rms_difference"] == 0 for row in told["figures"])
    page = (tmp_path / "compare.html").read_text()
    assert is_whole(page)
    for text in ("i_max", "40", "35", "load step", "kernel_hash"):
        assert text in page
    assert (tmp_path / "compare.png").stat().st_size > 10_000
    assert eesm("compare", first, "absent.parquet")[0] == USAGE


@pytest.mark.parametrize("form", ["eesmlog", "parquet", "csv", "mf4"])
def test_a_report_is_made_of_every_form(runs, eesm, tmp_path, form):
    source = runs / "a" / f"run.{form}"
    if not source.exists():
        log.convert(runs / "a" / "run.eesmlog", to=["mdf4"])
    code, out, err = eesm("report", source, "-o", "r.html")
    assert (code, out.strip()) == (OK, "r.html"), err
    page = (tmp_path / "r.html").read_text()
    assert is_whole(page)
    for text in ("First spin", "passed", "load step", "highest field current", "prefers-color-scheme"):
        assert text in page


def test_a_log_without_a_scenario_is_reported_too():
    page = report.page(pulse(0.5))
    assert is_whole(page)
    assert "passed" not in page
    assert "rms" in page


def test_a_damaged_log_says_so(runs, eesm, tmp_path):
    raw = (runs / "a" / "run.eesmlog").read_bytes()
    (tmp_path / "cut.eesmlog").write_bytes(raw[: len(raw) // 2])
    assert eesm("report", "cut.eesmlog")[0] == OK
    page = (tmp_path / "cut.html").read_text()
    assert "cut or damaged" in page
    assert "failed" in page
    code, out, _ = eesm("repair", "cut.eesmlog", "--json")
    told = json.loads(out)
    assert (code, told["files"], told["records_lost"]) == (OK, ["cut.repaired.eesmlog"], 0)
    assert len(log.read("cut.repaired.eesmlog")) == told["records"]
    assert eesm("repair", "cut.eesmlog", "-o", "cut.eesmlog")[0] == USAGE
