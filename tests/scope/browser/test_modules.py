"""The page's modules by themselves: buffers, spectrum, limits, time."""

import math
from itertools import pairwise

import pytest

from host_tools.scope.measure import fill_hours
from tests.scope.bench import until


@pytest.fixture
def run(tab):
    """run(module, text): text with the module as `m`."""
    base = tab.bench.server.url

    def call(module, text):
        return tab.page.evaluate(
            f"(async () => {{ const m = await import('{base}page/{module}.js'); {text} }})()"
        )

    return call


FILL = """
  const history = new m.History();
  history.keep(["a", "b"]);
  const rows = 1000;
  for (let n = 0; n < COUNT; n++) {
    const xs = Float64Array.from({ length: rows }, (_, k) => (n * rows + k) * 1e-3);
    const a = Float32Array.from(xs, (x) => Math.sin(x));
    if (n === SPIKE) a[500] = 7;
    history.append(xs, new Uint8Array(rows), new Map([["a", a]]));
  }
"""


def fill(count, spike=-1):
    return FILL.replace("COUNT", str(count)).replace("SPIKE", str(spike))


def test_an_hour_of_rows_takes_no_more_memory_than_a_minute(tab, chromium):
    found = fill_hours(chromium, tab.page, 1.0)
    assert found["rows"] >= 3600 * 2000
    assert found["held_s"] >= 3600
    assert len(set(found["buffer_bytes"])) == 1  # fixed from the start
    assert found["buffer_bytes"][0] < 50e6
    # What the browser holds beside them comes and goes; it does not grow by a byte a row.
    grown = found["resident_bytes"][-1] - found["resident_bytes"][0]
    assert grown < 60e6


def test_a_peak_of_one_row_is_seen_after_an_hour(run):
    """Smallest and greatest are kept: a spike of 1 ms stays in a picture of an hour."""
    found = run(
        "history",
        fill(3600, spike=7)
        + """
          const [xs, ys] = history.window(0, 3600, [{ source: "a", factor: 1 }], 800);
          return { points: xs.length, most: Math.max(...ys.filter((y) => y != null)),
            level: history.levelAt(0).rows, rising: xs.every((x, k) => !k || x >= xs[k - 1]) };""",
    )
    assert found["level"] > 1
    assert found["most"] == 7
    assert found["points"] < 3000
    assert found["rising"]


def test_the_newest_minutes_are_kept_row_by_row(run):
    found = run(
        "history",
        fill(400)
        + """
          const kept = history.rows(399, 399.1, ["a"]);
          const gone = history.rows(0, 1, ["a"]);
          return { n: kept.xs.length, whole: kept.whole, x: kept.xs[50], a: kept.columns[0][50],
            gone: gone.whole, at: history.at(399.05, "a"), missing: history.at(399.05, "b") };""",
    )
    assert (found["n"], found["whole"], found["gone"], found["missing"]) == (100, True, False, None)
    assert found["x"] == pytest.approx(399.05)
    assert found["a"] == pytest.approx(math.sin(399.05), abs=1e-6)
    assert found["at"] == pytest.approx(math.sin(399.05), abs=2e-3)


def test_missing_rows_are_a_gap_and_no_line(run):
    found = run(
        "history",
        """
          const history = new m.History();
          history.keep(["a"]);
          const block = (from, gap) => {
            const xs = Float64Array.from({ length: 10 }, (_, k) => from + k * 1e-3);
            const gaps = new Uint8Array(10);
            gaps[0] = gap;
            history.append(xs, gaps, new Map([["a", new Float32Array(10).fill(1)]]));
          };
          block(0, 1);
          block(5, 1);
          block(5.01, 0);
          const [xs, ys] = history.window(-1, 6, [{ source: "a", factor: 2 }], 500);
          const missing = ys.map((y, k) => (y == null ? k : -1)).filter((k) => k >= 0);
          return { n: xs.length, gaps: missing, value: ys[0] };""",
    )
    assert found == {"n": 31, "gaps": [10], "value": 2}


def test_a_moving_picture_does_not_shimmer(run):
    """Groups lie on the count of rows: a later window shows the same points for the same time."""
    same = run(
        "history",
        fill(20)
        + """
          const choices = [{ source: "a", factor: 1 }];
          const [x1, y1] = history.window(5, 15, choices, 300);
          const [x2, y2] = history.window(5.37, 15.37, choices, 300);
          const second = new Map(x2.map((x, k) => [x, y2[k]]));
          const both = x1.map((x, k) => [x, y1[k]]).filter(([x]) => x > 6 && x < 14);
          return both.length > 100 && both.every(([x, y]) => second.get(x) === y);""",
    )
    assert same


@pytest.mark.parametrize(("amplitude", "bin_"), [(1.0, 64), (0.25, 300)])
def test_the_spectrum_shows_a_sine_with_its_amplitude(run, amplitude, bin_):
    found = run(
        "fft",
        f"""
          const n = 4096;
          const sine = (_, k) => 3 + {amplitude} * Math.sin((2 * Math.PI * {bin_} * k) / n);
          const values = Float32Array.from({{ length: n }}, sine);
          const {{ frequencies, amplitudes }} = m.spectrum(values, 5e-4);
          const most = amplitudes.indexOf(Math.max(...amplitudes));
          return [frequencies[most], amplitudes[most], m.spectrum(values.subarray(0, 15), 1)];""",
    )
    assert found[0] == pytest.approx(bin_ / (4096 * 5e-4))
    assert found[1] == pytest.approx(amplitude, rel=1e-3)
    assert found[2] is None


def test_the_voltage_limit_is_where_the_voltage_is_at_its_limit(run):
    machine = {"R_s": 0.06, "L_d": 1.1e-3, "L_q": 0.7e-3, "M": 15e-3, "k_u_max": 0.56}
    w_e, i_f, u_dc = 900.0, 2.0, 48.0
    points = run(
        "plane",
        f"return m.voltageLimit({machine}, {{ w_e: {w_e}, i_f: {i_f}, u_dc: {u_dc} }});".replace("'", '"'),
    )
    for i_d, i_q in points:
        u_d = machine["R_s"] * i_d - w_e * machine["L_q"] * i_q
        u_q = machine["R_s"] * i_q + w_e * (machine["L_d"] * i_d + machine["M"] * i_f)
        assert math.hypot(u_d, u_q) == pytest.approx(0.56 * u_dc, rel=1e-6)


def test_the_curve_of_least_loss_is_what_the_drive_goes_to(tab, bench):
    """At a steady torque the drive's references lie on the curve that the page draws."""
    drive = bench.keeper.drive
    tab.arm()
    drive.set_speed(80.0)
    drive.load(2.0)
    tab.until("Math.abs(eesm.gauges().torque - 2) < 0.15 && Math.abs(eesm.gauges().w_e - 160) < 6")
    curve = tab.page.evaluate(
        f"""(async () => {{
          const m = await import('{bench.server.url}page/plane.js');
          return m.optimum(eesm.machine(), eesm.gauges());
        }})()"""
    )

    def away():
        i_d, i_q = tab.js("[eesm.gauges().i_d_ref, eesm.gauges().i_q_ref]")
        return min(
            math.hypot(d0 + s * (d1 - d0) - i_d, q0 + s * (q1 - q0) - i_q)
            for (d0, q0), (d1, q1) in pairwise(curve)
            for s in (0, 0.25, 0.5, 0.75, 1)
        )

    try:
        until(lambda: away() < 1.0, "the references lie on the curve")  # A, of 40
    finally:
        drive.load(0.0)


def test_device_time_begins_anew_and_the_axis_goes_on(run):
    found = run(
        "timeline",
        """
          const line = new m.Timeline();
          const first = [line.place(1, 100), line.place(1, 110)];
          const again = line.place(2, 0.2);
          const lostOnly = new m.Timeline();
          lostOnly.place(1, 10);
          return { first, again, device: line.device(again), before: line.device(105),
            restarts: line.restarts().length, old: Number.isNaN(line.place(0, 5)),
            goesOn: lostOnly.place(2, 13), none: lostOnly.restarts().length };""",
    )
    assert found["first"] == [100, 110]
    assert found["again"] > 110
    assert found["device"] == pytest.approx(0.2)
    assert found["before"] == pytest.approx(105)
    assert (found["restarts"], found["old"]) == (1, True)
    assert (found["goesOn"], found["none"]) == (13, 0)  # the link was lost, the drive went on counting


def test_numbers_are_shown_as_on_an_instrument(run):
    shown = run(
        "format",
        """return [1234.5, 12.345, 0.12345, -0.00001, 0, 1e-7, 2.5e7, NaN].map((x) => m.number(x))
             .concat([m.unit("kg.m2"), m.unit("1"), m.unit("p.u."), m.short(-0.00025), m.span(0.0123)]);""",
    )
    minus = "\u2212"
    assert shown == [
        "1235", "12.35", "0.123", f"{minus}1.00e{minus}5", "0.000", f"1.00e{minus}7", "2.50e+7", "\u2013",
        "kg m\u00b2", "", "p.u.", f"{minus}0.00025", "12.30 ms",
    ]  # fmt: skip


def test_where_marks_crowd_a_fault_says_what_it_is(run):
    found = run(
        "panes",
        """return m.withRoom([
          { kind: "state", words: "ready", left: 0, right: 40 },
          { kind: "state", words: "running", left: 30, right: 80 },
          { kind: "parameter", words: "w_m_trip", left: 90, right: 150 },
          { kind: "fault", words: "OVERSPEED", left: 95, right: 160 },
          { kind: "state", words: "fault", left: 170, right: 200 },
        ]).map((each) => each.words);""",
    )
    assert found == ["OVERSPEED", "ready", "fault"]
