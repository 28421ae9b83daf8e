"""Logs: what was written is read again, also when the file ends at any byte."""

import csv
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import log, scenario
from host_tools.errors import MISSING, ToolError, UsageError
from host_tools.log import raw as raw_module
from host_tools.runner import Runner
from tests.fake_bench import FakeBench

SHORT = """
name = "short"
[[phase]]
name = "arm"
arm = true
until = "ready"
[[phase]]
name = "spin"
duration = 0.1
speed_rpm = 100
[[phase]]
name = "stop"
stop = true
until = "off"
"""


def record(path, bench=None, text=SHORT):
    chosen = scenario.parse(text)
    bench = bench or FakeBench()
    with log.Writer(path, log.describe(bench, chosen)) as writer:
        Runner(chosen, bench, writer).run()
    return path


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return record(tmp_path_factory.mktemp("log") / "run.eesmlog").read_bytes()


@pytest.fixture(scope="module")
def whole(raw):
    return log.read_raw(raw)


def test_what_was_logged_is_read(whole):
    assert whole.cut == 0
    assert whole.records_lost == 0
    assert whole.header["identity"]["unit"] == "a"
    assert whole.header["scenario"]["text"] == SHORT
    assert [name for name, *_ in whole.phases] == ["arm", "spin", "stop"]
    assert [name for name, *_ in whole.states][:4] == ["off", "offsets", "ready", "running"]
    assert np.all(np.diff(whole.period) == 20)
    assert whole.t[0] == whole.period[0] * 5e-5


def header_end(raw):
    return next(frame.stop for frame in log.frames(raw) if frame.kind == log.HEADER)


@given(st.data())
def test_a_log_cut_at_any_byte_reads_to_its_last_whole_record(raw, whole, data):
    cut = data.draw(st.integers(0, len(raw)))
    if cut < header_end(raw):
        with pytest.raises(UsageError):
            log.read_raw(raw[:cut])
        return
    found = log.read_raw(raw[:cut])
    ends = [frame.stop for frame in log.frames(raw) if frame.kind == log.ROW]
    assert len(found) == sum(end <= cut for end in ends)
    assert np.array_equal(found.period, whole.period[: len(found)])
    assert np.array_equal(found["i_q"], whole["i_q"][: len(found)])
    assert 0 <= found.cut < cut - len(log.MAGIC)
    assert found.damage == []


def test_a_log_cut_at_every_byte_is_repaired_to_its_last_whole_record(raw, tmp_path):
    """A short one, so that every position is tried."""
    kept = list(log.frames(raw))[:14]
    short = raw[: kept[-1].stop]
    source, repaired = tmp_path / "cut.eesmlog", tmp_path / "cut.repaired.eesmlog"
    for cut in range(header_end(raw), len(short) + 1):
        source.write_bytes(short[:cut])
        run = log.repair(source, repaired)
        whole_frames = [frame for frame in kept if frame.stop <= cut]
        assert len(run) == sum(frame.kind == log.ROW for frame in whole_frames)
        assert run.cut == cut - whole_frames[-1].stop
        again = log.read(repaired)
        assert (again.cut, again.damage, len(again)) == (0, [], len(run))
        assert again.notes == run.notes
    assert source.read_bytes() == short


@given(st.data())
def test_damage_costs_the_frames_it_touches_and_no_others(raw, whole, data):
    broken = bytearray(raw)
    touched = []
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        new = data.draw(st.binary(min_size=1, max_size=200))[: len(raw) - at]
        touched.append((at, at + len(new)))
        broken[at : at + len(new)] = new
    kept = [
        frame
        for frame in log.frames(raw)
        if broken[frame.start : frame.stop] == raw[frame.start : frame.stop]
    ]
    if not any(frame.kind == log.HEADER for frame in kept):
        with pytest.raises(UsageError, match="header"):
            log.read_raw(bytes(broken))
        return
    found = log.read_raw(bytes(broken))
    rows = [int.from_bytes(frame.payload[:4], "little") for frame in kept if frame.kind == log.ROW]
    assert found.period.tolist() == rows
    assert [len(found.notes)] == [sum(frame.kind == log.NOTE for frame in kept)]
    lost = sum(length for _, length in found.damage) + found.cut
    frames_lost = [frame for frame in log.frames(raw) if frame not in kept]
    magic = 0 if bytes(broken).startswith(log.MAGIC) else len(log.MAGIC)
    assert lost == magic + sum(frame.stop - frame.start for frame in frames_lost)


def test_the_header_is_there_twice(raw, whole):
    first = next(frame for frame in log.frames(raw) if frame.kind == log.HEADER)
    broken = bytearray(raw)
    broken[first.start + 20] ^= 1
    found = log.read_raw(bytes(broken))
    assert (found.header, len(found)) == (whole.header, len(whole))
    assert found.damage == [(first.start, first.stop - first.start)]


def test_rows_lost_to_damage_are_counted(raw, whole):
    row = [frame for frame in log.frames(raw) if frame.kind == log.ROW][40]
    broken = raw[: row.start] + bytes(row.stop - row.start) + raw[row.stop :]
    assert log.read_raw(broken).records_lost == 1


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused_or_read(soup):
    try:
        found = log.read_raw(log.MAGIC + soup)
    except UsageError:
        return
    assert len(found) == 0


def test_a_cut_log_converts(raw, tmp_path):
    path = tmp_path / "cut.eesmlog"
    path.write_bytes(raw[: len(raw) * 2 // 3])
    files = log.convert(path)
    assert [file.suffix for file in files] == [".parquet", ".csv"]
    found = log.read(files[0])
    assert found.cut > 0
    assert 0 < len(found) == len(log.read(path))
    assert found.phases[0][0] == "arm"


def test_parquet_keeps_everything(whole, tmp_path):
    path = log.write_parquet(whole, tmp_path / "run.parquet")
    again = log.read(path)
    assert again.header == whole.header
    assert again.notes == whole.notes
    assert again.phases == whole.phases
    for name in whole.columns:
        assert np.array_equal(again[name], whole[name])
    schema = pq.read_schema(path)
    assert schema.field("i_q").metadata[b"unit"] == b"A"
    assert schema.field("t").metadata[b"unit"] == b"s"
    assert schema.metadata is not None
    assert json.loads(schema.metadata[b"identity"])["kernel_hash"] == "k" * 12
    assert json.loads(schema.metadata[b"units"])["u_dc"] == "V"
    assert set(schema.names) >= {"t", "period", "w_m", "drive_state", *scenario.SIGNALS}


def test_csv_has_units_and_identity(whole, tmp_path):
    path = log.write_csv(whole, tmp_path / "run.csv")
    lines = path.read_text().splitlines()
    about = [line for line in lines if line.startswith("#")]
    assert "# unit: a" in about
    assert f"# kernel_hash: {'k' * 12}" in about
    rows = list(csv.reader(lines[len(about) :]))
    assert rows[0][:2] == ["t [s]", "period [1]"]
    assert "i_q [A]" in rows[0]
    assert len(rows) == 1 + len(whole)
    column = [float(row[rows[0].index("i_f [A]")]) for row in rows[1:]]
    assert np.allclose(column, whole["i_f"], rtol=1e-8, atol=0)


@pytest.mark.parametrize("form", log.FORMS)
def test_every_form_holds_everything(whole, tmp_path, form):
    (path,) = log.convert(tmp_path / "run.eesmlog", whole, [form])
    again = log.read(path)
    assert again.header == whole.header
    assert again.notes == whole.notes
    assert again.phases == whole.phases
    assert np.array_equal(again.period, whole.period)
    for name in whole.columns:
        assert again.units[name] == whole.units[name]
        assert np.allclose(again[name], whole[name], rtol=1e-8, atol=0)


def test_csv_shows_parameters(whole, tmp_path):
    lines = log.write_csv(whole, tmp_path / "run.csv").read_text().splitlines()
    assert "# parameter i_f_max: 4 A" in lines


def test_mdf4_is_what_other_tools_expect(whole, tmp_path):
    asammdf = pytest.importorskip("asammdf")
    (path,) = log.convert(tmp_path / "run.eesmlog", whole, ["mdf4"])
    with asammdf.MDF(path) as file:
        current = file.get("i_q")
        assert (current.unit, len(current.samples)) == ("A", len(whole))
        assert np.allclose(current.timestamps, whole.t)
        assert current.comment.startswith("stator current")
        assert set(file.get("drive_state").samples) >= {b"off", b"running"}
        assert "unit a on board virtual" in file.header.comment
        texts = {
            str(each.file_name): bytes(file.extract_attachment(index=n)[0])
            for n, each in enumerate(file.attachments)
        }
    assert texts["scenario.toml"].decode() == SHORT
    assert b"i_f_max = 4.0" in texts["parameters.toml"]
    assert "eesm.json" in texts


def test_a_missing_package_names_its_extra(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "asammdf", None)
    with pytest.raises(ToolError, match="MDF4 needs asammdf") as refused:
        log.convert(tmp_path / "run.eesmlog", whole, ["mdf4"])
    assert refused.value.code == MISSING
    assert "eesm[mdf]" in refused.value.hint


def test_an_unknown_form_is_refused(whole, tmp_path):
    with pytest.raises(UsageError, match="no form 'xls'"):
        log.convert(tmp_path / "run.eesmlog", whole, ["xls"])


def test_lost_rows_are_counted_by_their_periods(tmp_path):
    def skip(bench):
        if bench.passed == 12_000:
            bench.skip_rows = 7

    found = log.read(record(tmp_path / "run.eesmlog", FakeBench(at=skip)))
    assert found.records_lost == 7


def test_periods_count_on_where_the_board_wraps(tmp_path):
    found = log.read(record(tmp_path / "run.eesmlog", FakeBench(period=(1 << 30) - 15_001)))
    assert np.all(np.diff(found.period) == 20)
    assert found.period[-1] >= 1 << 30
    starts = [start for _, _, start, _ in found.phases]
    assert starts == sorted(starts)
    assert starts[-1] > 1 << 30


def test_the_raw_file_grows_while_the_run_lasts(tmp_path, monkeypatch):
    """What a crash would leave: the file is flushed long before it is closed."""
    monkeypatch.setattr(raw_module, "FLUSH_S", 0.0)
    path = tmp_path / "run.eesmlog"
    seen = []

    def look(bench):
        if bench.passed % 4000 == 0 and path.exists():
            seen.append(path.stat().st_size)

    record(path, FakeBench(at=look))
    assert len(set(seen)) > 2
    assert seen == sorted(seen)


def test_what_is_no_log_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="is no log"):
        log.read(path)
    with pytest.raises(UsageError, match="Cannot read"):
        log.read(tmp_path / "absent")


def test_an_unknown_column_names_those_there_are(whole):
    with pytest.raises(KeyError, match="i_q, i_q_ref"):
        whole["i_x"]
