"""Pictures and pages: every pane is there, nothing comes from elsewhere."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from host_tools import compare, execution, log, plot, scenario
from host_tools.errors import UsageError
from tests.fake_bench import FakeBench


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return execution.execute(scenario.load("demo"), FakeBench(), folder, setup_s=1.0)


@pytest.fixture(scope="module")
def run(result):
    return log.read(result.folder / "run.parquet")


@pytest.fixture(scope="module")
def page(result):
    return (result.folder / "report.html").read_text()


def texts_of(figure):
    labels = [axis.get_ylabel() for axis in figure.axes]
    legends = [
        text.get_text() for axis in figure.axes if axis.get_legend() for text in axis.get_legend().texts
    ]
    return labels, legends


def test_a_run_leaves_all_its_files(result):
    names = {file.name for file in result.folder.iterdir()}
    assert names == {"run.eesmlog", "run.parquet", "run.csv", "report.png", "report.html", "summary.json"}
    assert result.code == 0


def test_the_summary_has_what_is_asked_for(result):
    summary = json.loads((result.folder / "summary.json").read_text())
    assert summary == json.loads(json.dumps(result.summary))
    wanted = ("ok", "interpreter", "kernel_hash", "schema_hash", "periods", "records", "records_lost")
    assert {*wanted, "setup_s", "run_s"} <= set(summary)
    assert summary["ok"] is True
    assert summary["setup_s"] == 1.0
    assert abs(summary["final_field_current"]) < 0.08
    for row in summary["phases"]:
        assert {"speed_rpm", "torque", "load", "i_d_rms_error", "i_q_rms_error", "i_f_rms_error"} <= set(row)
        assert {"energy_in", "energy_out", "energy_regenerated"} <= set(row)


def test_the_picture_has_all_panes_with_units_and_device_time(run):
    figure = plot.figure(run)
    labels, legends = texts_of(figure)
    for title, unit in (
        ("Speed", "rpm"),
        ("Torque", "Nm"),
        ("Stator current", "A"),
        ("Field current", "A"),
        ("Voltage", "V"),
        ("Power", "W"),
    ):
        assert f"{title} in {unit}" in labels
    assert figure.axes[-1].get_xlabel() == "device time in s"
    assert {"speed", "load", "$i_d$", "$i_q^*$", "$i_f$", "$i_f^*$", "$u_{dc}$", "electric"} <= set(legends)
    named = {text.get_text() for text in figure.axes[0].texts}
    assert {phase.name for phase in scenario.load("demo").phases} <= named
    assert "running" in named


def test_a_fault_is_marked(run):
    run.notes.append({"note": "event", "what": "fault", "period": 90_000, "text": "OVERSPEED: 7000 rpm"})
    try:
        del run.__dict__["faults"]
        figure = plot.figure(run)
        assert "OVERSPEED" in {text.get_text() for axis in figure.axes for text in axis.texts}
    finally:
        run.notes.pop()
        run.__dict__.pop("faults")


def test_chosen_signals_share_a_pane_by_unit(run, tmp_path):
    figure = plot.figure(run, ["i_q", "i_q_ref", "speed_rpm"])
    labels, legends = texts_of(figure)
    assert labels[1:] == ["in A", "in rpm"]
    assert legends == ["i_q", "i_q_ref", "speed_rpm"]
    for suffix in (".png", ".svg", ".pdf"):
        assert plot.write(run, tmp_path / f"x{suffix}", ["i_q"]).stat().st_size > 1000


def test_wrong_wishes_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match="i_x is not in this log, which has w_e"):
        plot.figure(run, ["i_x"])
    with pytest.raises(UsageError, match=r"end in \.png, \.svg or \.pdf"):
        plot.write(run, tmp_path / "x.gif")


def test_the_same_log_gives_the_same_picture(run):
    assert plot.svg(run) == plot.svg(run)


def test_thinning_loses_no_spike():
    seconds, values = np.arange(100_000.0), np.zeros(100_000)
    values[34_567] = 9.0
    _, mean, low, high = plot.envelope(seconds, values)
    assert high.max() == 9.0
    assert low.min() == 0.0
    assert len(mean) == plot.POINTS


class Reader(HTMLParser):
    """Notes what a page holds and whether its tags close."""

    VOID = {"meta", "br", "path", "use", "image", "rect", "line"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.links = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_needs_nothing_else(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "<svg" in page
    assert "viewport" in page


@pytest.mark.parametrize(
    "text",
    [
        "First spin",
        "passed",
        "load step",
        "all of speed_rpm = 2000 ± 1 % rpm",
        "kernel_hash",
        "i_f_max",
        "highest field current",
        "Commands as they were sent",
        "None.",
    ],
)
def test_the_page_tells(page, text):
    assert text in page


def test_an_interrupted_run_is_reported_too(tmp_path):
    bench = FakeBench(at=lambda self: self.fail("OVERSPEED: <7000> rpm") if self.passed == 60_000 else None)
    result = execution.execute(scenario.load("demo"), bench, tmp_path)
    assert result.code == 1
    page = (tmp_path / "report.html").read_text()
    assert "failed" in page
    assert "OVERSPEED" in page
    assert "&lt;7000&gt;" in page
    assert "lower the speed setpoint" in page


def test_a_broken_link_is_raised_after_everything_is_written(tmp_path):
    def cut(bench):
        if bench.passed == 60_000:
            raise ConnectionError("the port is gone")

    with pytest.raises(ConnectionError):
        execution.execute(scenario.load("demo"), FakeBench(at=cut), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert not summary["ok"]
    assert "the port is gone" in summary["reasons"]
    assert summary["records"] > 1000
    assert (tmp_path / "report.html").exists()


def test_a_capture_is_drawn_in_ms_around_its_trigger(run):
    capture = log.Run({**run.header, "state": ""}, run.period[:512], {"i_q": run["i_q"][:512]}, {"i_q": "A"})
    capture.notes.append({"note": "trigger", "period": int(run.period[100])})
    axis = plot.figure(capture, ["i_q"]).axes[-1]
    assert axis.get_xlabel() == f"ms around {run.t[100]:.4f} s of device time"
    said = [tick.get_text() for tick in axis.get_xticklabels()]
    assert axis.get_xticks()[said.index("0")] == pytest.approx(run.t[100])
    assert plot.figure(run, ["i_q"]).axes[-1].get_xlabel() == "device time in s"


def test_columns_of_a_comparison_say_whose_they_are(run):
    page = compare.html(compare.compare(run, run, labels=("monday", "tuesday")))
    assert re.search("mean, monday</th><th[^>]*>tuesday</th>", page)
    page = compare.html(compare.compare(run, run, labels=("a" * 17, "b")))
    assert re.search("mean, first</th><th[^>]*>second</th>", page)
