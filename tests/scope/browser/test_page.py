"""The page in a real browser, against the real firmware in real time."""

import csv
import io
import statistics
from itertools import pairwise

import pytest

from eesm.fault_table import FAULTS
from host_tools import log
from tests.scope.bench import until


def test_signals_are_chosen_by_name_and_move(tab):
    assert tab.text("#unit") == "unit a"
    tab.page.fill("#search", "u_q")
    tab.page.click("#signal-list .signal[data-signal=u_q]")
    tab.page.wait_for_selector(".pane .chip[data-signal=u_q]")
    tab.until("eesm.history.levels[0].low.has('u_q')")
    tab.arm()
    tab.setpoint(600)
    first = tab.pixels()
    until(lambda: tab.pixels() != first, "the curves move")
    assert tab.page.get_attribute(".signal[data-signal=u_q]", "aria-pressed") == "true"
    assert "V" in tab.text(".chip[data-signal=u_q]")
    until(lambda: abs(float(tab.text(".chip[data-signal=speed] output").replace("\u2212", "-")) - 600) < 5)
    assert tab.text("#lost") == "0 lost"
    # Once more takes it away.
    tab.page.click("#signal-list .signal[data-signal=u_q]")
    tab.page.wait_for_selector(".pane .chip[data-signal=u_q]", state="detached")


def test_the_time_axis_is_device_time(tab, bench):
    """Peers have scopes whose axis is the host's clock: here a place on it is a period of the drive."""
    x, epoch = tab.js("[eesm.history.latest, eesm.timeline.epochs.length]")
    drive = bench.keeper.drive
    assert epoch == 1
    offset = tab.js("eesm.history.latest - eesm.timeline.device(eesm.history.latest)")
    periods = (x - offset) / drive.t_pwm
    assert periods == pytest.approx(round(periods), abs=1e-3)
    drive.state  # noqa: B018  (its answer brings the device's period)
    assert periods <= drive.now() + 20000


def test_pause_zoom_and_back(tab):
    tab.page.keyboard.press("p")
    assert tab.text("#pause") == "Go on"
    standing = tab.js("[eesm.view.from, eesm.view.to]")
    before = tab.js("eesm.history.count")
    tab.until(f"eesm.history.count > {before + 500}")  # it goes on receiving
    assert tab.js("[eesm.view.from, eesm.view.to]") == standing
    box = tab.page.locator(".u-over").first.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 30, steps=4)
    tab.page.mouse.up()
    low, high = tab.js("[eesm.view.from, eesm.view.to]")
    assert high - low == pytest.approx(0.2 * (standing[1] - standing[0]), rel=0.1)
    tab.page.keyboard.press("-")
    assert tab.js("eesm.view.to - eesm.view.from") == pytest.approx(2 * (high - low))
    tab.page.keyboard.press("p")
    tab.until("eesm.view.live && eesm.view.to === eesm.history.latest")


def test_per_unit_and_si(tab):
    assert tab.text(".chip[data-signal=i_q] small") == "A"
    tab.page.click("#per-unit")
    tab.page.wait_for_selector(".chip[data-signal=i_q] small:text-is('p.u.')")
    tab.page.click("#per-unit")
    tab.page.wait_for_selector(".chip[data-signal=i_q] small:text-is('A')")


def test_cursors_tell_the_difference(tab):
    tab.page.keyboard.press("p")
    tab.page.keyboard.press("c")
    box = tab.page.locator(".u-over").first.bounding_box()
    for share, key in ((0.5, "a"), (0.75, "b")):
        tab.page.mouse.move(box["x"] + share * box["width"], box["y"] + 30)
        tab.page.keyboard.press(key)
    span = tab.js("eesm.view.to - eesm.view.from")

    def right():
        value, unit = (
            tab.page.locator("#cursor-table tbody tr").first.locator("td").nth(2).inner_text().split()
        )
        return abs(float(value) * {"s": 1, "ms": 1e-3}[unit] - 0.25 * span) < 0.01 * span

    until(right, "the time between the cursors is a quarter of what is seen")
    assert "i_q" in tab.text("#cursor-table")


def test_the_plane_of_currents_and_the_spectrum(tab):
    tab.arm()
    tab.setpoint(800)
    tab.page.click("#plane-on")
    tab.page.click("#spectrum-on")
    tab.until("eesm.history.levels[0].low.has('i_d_ref')")
    tab.page.wait_for_selector("#spectrum canvas")
    first = tab.pixels("#plane")
    assert len(first) > 3000  # a circle, an ellipse, a curve
    tab.page.fill("#setpoint", "-800")
    tab.page.keyboard.press("Enter")
    until(lambda: tab.pixels("#plane") != first, "the plane moves")
    until(lambda: " Hz" in tab.text("#peaks"), "a peak is named")
    assert "rpm at" in tab.text("#peaks")  # of the active pane


def test_a_capture_shows_rows_from_before_its_trigger(tab, bench):
    tab.arm()
    tab.page.click("#tab-capture")
    tab.page.select_option("[name=trigger]", "torque_ref")
    tab.page.fill("[name=level]", "0.5")
    tab.page.keyboard.press("Enter")
    until(lambda: bench.keeper.drive.read("capture_state") == 2, "the capture waits")
    assert tab.text("#capture-go") == "Cancel"
    tab.page.click("#tab-drive")
    tab.setpoint(900)
    tab.page.wait_for_selector("#captured[aria-pressed=true]")
    assert tab.js("[eesm.view.from < 0, eesm.view.to > 0]") == [True, True]
    span = tab.js("eesm.view.to - eesm.view.from")
    assert span == pytest.approx(511 * bench.keeper.drive.t_pwm)
    assert "ms" in tab.text("#toasts") or "Captured 512 rows" in tab.text("#toasts")
    tab.page.click("#live")
    tab.until("eesm.view.live")


def test_a_parameter_is_changed_and_taken_back(tab, bench):
    tab.page.click("#tab-parameters")
    tab.page.fill("#parameter-search", "bandwidth_speed")
    field = tab.page.locator("#p-bandwidth_speed")
    assert field.input_value() == "8"
    field.fill("6.5")
    field.press("Enter")
    tab.page.wait_for_selector("#undo[title='Set bandwidth_speed to 8 again']")
    assert bench.keeper.drive.get("bandwidth_speed") == 6.5
    field.fill("1e9")
    field.press("Enter")
    tab.page.wait_for_selector(".toast.bad:has-text('outside 0.1 .. 200 Hz')")
    assert bench.keeper.drive.get("bandwidth_speed") == 6.5
    field.press("Escape")
    assert field.input_value() == "6.5"
    tab.page.click("#undo")
    until(lambda: field.input_value() == "8", "the field shows the old value")
    assert bench.keeper.drive.get("bandwidth_speed") == 8
    assert "bandwidth_speed" in tab.text("#note-list") or tab.page.locator("#note-list li").count() >= 2


@pytest.mark.parametrize("focus", ["nothing", "#setpoint", "#apply", "#span"])
def test_the_space_bar_stops(tab, bench, focus):
    tab.arm()
    tab.setpoint(500)
    if focus != "nothing":
        tab.page.focus(focus)
    tab.page.keyboard.press("Space")
    until(lambda: bench.keeper.state in ("stopping", "field down", "off"), "the drive stops")
    tab.state("off")


def test_a_space_in_a_text_is_a_space(tab, bench):
    tab.arm()
    tab.page.click("#tab-notes")
    tab.page.type("#note", "two words")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#note-list .note:has-text('two words')")
    assert bench.keeper.state == "ready"
    # Outside of the text it stops again.
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Space")
    tab.state("off")


def test_stop_is_obeyed_within_100_ms_of_the_key(tab, bench):
    """From the key going down to the drive's answer, while ten signals stream at 2 kHz.

    A machine with both cores busy gives the browser its turn late now and then, so presses are repeated
    until three are within the limit; a way that waits behind anything would never be.
    """
    for name in ("u_d", "u_q", "u_f"):
        tab.page.click(f"#signal-list .signal[data-signal={name}]")
    tab.until("eesm.history.levels[0].low.size >= 10")
    took = []
    for _ in range(60):
        tab.page.keyboard.press("Space")
        took.append(tab.until("eesm.stop.took"))
        if sum(each <= 100 for each in took) >= 3:
            break
    assert sum(each <= 100 for each in took) >= 3, took
    print(f"stop: {min(took):.0f} .. {max(took):.0f} ms, median {statistics.median(took):.0f}")


def test_the_stop_button_stops_at_the_press(tab, bench):
    tab.arm()
    box = tab.page.locator("#top .stop").bounding_box()
    tab.page.mouse.move(box["x"] + 10, box["y"] + 10)
    tab.page.mouse.down()  # not released
    tab.state("off")
    tab.page.mouse.up()


def test_a_stop_that_nobody_confirms_is_said_loudly(tab):
    tab.page.route("**/stop", lambda route: route.abort())
    tab.page.evaluate("eesm.link.open = () => {}; eesm.link.socket.close()")
    tab.until("!eesm.link.up")
    tab.page.keyboard.press("Space")
    tab.page.wait_for_selector("#unsent:visible")
    assert "emergency stop" in tab.text("#unsent")
    tab.page.unroute("**/stop")
    tab.page.evaluate("delete eesm.link.open")
    tab.page.keyboard.press("Space")
    tab.page.wait_for_selector("#unsent", state="hidden")


@pytest.mark.parametrize("way", ["websocket", "request"])
def test_one_way_is_enough_to_stop(tab, bench, way):
    tab.arm()
    if way == "websocket":
        tab.page.route("**/stop", lambda route: route.abort())
    else:
        tab.page.evaluate("void (eesm.link.ask = () => new Promise(() => {}))")
    tab.page.keyboard.press("Space")
    tab.until("eesm.stop.took")
    tab.state("off")
    tab.page.unroute("**/stop")
    tab.page.evaluate("delete eesm.link.ask")


def test_a_second_page_watches_and_may_stop(tab, new_tab):
    other = new_tab()
    tab.arm()
    other.page.wait_for_selector("#watching:visible")
    assert other.page.is_disabled("#take")
    assert other.page.is_disabled("#apply")
    other.page.keyboard.press("Space")
    tab.state("off")
    other.page.click("#take")
    other.page.wait_for_selector("#watching", state="hidden")
    tab.page.wait_for_selector("#watching:visible")
    assert tab.page.is_disabled("#arm")


def test_a_fault_names_cause_and_remedy(tab, bench):
    tab.arm()
    tab.setpoint(1200)
    until(lambda: bench.keeper.drive.read("w_e") > 100)
    bench.keeper.drive.set("w_m_trip", 10)
    try:
        tab.page.wait_for_selector("#faults:visible")
        assert "OVERSPEED" in tab.text("#faults")
        assert "lower the speed setpoint" in tab.text("#faults")
        assert tab.page.is_disabled("#arm")
    finally:
        bench.keeper.drive.set("w_m_trip", 722.6)

    def cleared():
        if tab.page.is_visible("#faults"):
            tab.js("document.querySelector('#clear').click()")
        return tab.js("document.body.dataset.state") == "off"

    until(cleared, "the fault is cleared")
    tab.page.wait_for_selector("#faults", state="hidden")


def save(tab, kind):
    tab.page.click("#save-menu summary")
    with tab.page.expect_download() as expected:
        tab.page.click(f"[data-save={kind}]")
    return expected.value


def test_what_is_seen_is_saved(tab, tmp_path):
    tab.page.keyboard.press("p")
    rows = tab.js("eesm.history.rows(eesm.view.from, eesm.view.to, []).xs.length")
    download = save(tab, "parquet")
    assert download.suggested_filename.endswith(".parquet")
    download.save_as(tmp_path / "seen.parquet")
    run = log.read(tmp_path / "seen.parquet")
    assert len(run) == rows > 200
    assert run.units["speed"] == "rpm"
    assert set(run.period[1:] - run.period[:-1]) == {10}
    assert run.header["identity"]["unit"] == "a"
    save(tab, "csv").save_as(tmp_path / "seen.csv")
    lines = (tmp_path / "seen.csv").read_text().splitlines()
    table = list(csv.reader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert "speed [rpm]" in table[0]
    assert len(table) == rows + 1
    save(tab, "png").save_as(tmp_path / "seen.png")
    picture = (tmp_path / "seen.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000


def test_a_log_is_recorded_and_ended(tab, bench):
    tab.page.click("#record")
    tab.page.wait_for_selector("#record[aria-pressed=true]")
    until(lambda: (bench.keeper.recorder.status() or {"rows": 0})["rows"] > 500)
    tab.page.click("#record")
    tab.page.click("#tab-notes")
    tab.page.wait_for_selector("#note-list li:has-text('.parquet')")
    (file,) = (bench.folder / "logs").glob("*.parquet")
    assert log.read(file).records_lost == 0


# --- looks --------------------------------------------------------------------------------------------


def test_on_a_phone_everything_fits(new_tab, bench):
    phone = new_tab(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    for name in ("scope", "signals", "panel"):
        phone.page.tap(f"#bottom [data-tab={name}]")
        assert phone.js("document.documentElement.scrollWidth") <= 390
        stop = phone.page.locator("#bottom .stop").bounding_box()
        assert stop["height"] >= 44
        assert stop["y"] + stop["height"] <= 844
    for tab in ("capture", "parameters", "notes", "drive"):
        phone.page.tap(f"#tab-{tab}")
        rights = phone.js(
            "[...document.querySelectorAll('#panel *')].map(e => e.getBoundingClientRect().right)"
        )
        assert max(rights) <= 391, tab
    phone.page.tap("#arm")
    phone.state("ready")
    phone.page.tap("#bottom .stop")
    phone.state("off")
    assert bench.keeper.state == "off"


def test_on_a_phone_plane_and_spectrum_come_below_the_panes(new_tab):
    phone = new_tab(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for button in ("plane-on", "spectrum-on"):
        phone.js(f"document.querySelector('#{button}').click()")
    boxes = "[...document.querySelectorAll('#panes .pane, #extra figure')]"
    rows: list[list[float]] = []

    def below_one_another():
        rows[:] = phone.js(f"{boxes}.map(e => e.getBoundingClientRect()).map(r => [r.top, r.bottom])")
        return all(bottom <= top + 1 for (_, bottom), (top, _) in pairwise(rows))

    until(below_one_another, "nothing covers anything")
    assert len(rows) == 5
    assert min(bottom - top for top, bottom in rows) > 100


FAULTS_SEEN = """(rows) => rows.flatMap((row) => {
  eesm.hear({ faults: { list: [row], time: 1.25 } });
  const card = document.querySelector("#faults");
  const edge = card.getBoundingClientRect().right;
  return [card, ...card.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > edge + 0.5 ||
      (e.clientWidth && e.scrollWidth > e.clientWidth + 1))
    .map((e) => `${row.name}: ${e.tagName} is cut`);
})"""


@pytest.mark.parametrize("width", [390, 1440])
def test_the_texts_of_every_fault_fit(new_tab, width):
    """Cause, limit and remedy of all of them, as the drive's own page shows them."""
    tab = new_tab(viewport={"width": width, "height": 844})
    tab.js("document.body.dataset.tab = 'panel'")
    told = [{**row._asdict(), "first": True, "text": ""} for row in FAULTS]
    assert tab.page.evaluate(FAULTS_SEEN, told) == []
    shown = tab.text("#faults")
    assert FAULTS[-1].remedy in shown and FAULTS[-1].limit in shown


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light_follow_the_system_and_the_switch(new_tab, scheme):
    tab = new_tab(color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert tab.js("document.documentElement.dataset.theme") == scheme
    before = tab.js(ground)
    tab.page.click("#theme")
    assert tab.js("document.documentElement.dataset.theme") != scheme
    assert tab.js(ground) != before


def test_every_control_has_a_name_and_can_be_reached_by_the_keyboard(tab):
    nameless = tab.js("""[...document.querySelectorAll("button, input, select, summary, [role=tab]")]
      .filter(each => !(each.innerText?.trim() || each.textContent.trim() || each.getAttribute("aria-label")
        || each.labels?.length)).map(each => each.outerHTML)""")
    assert nameless == []
    reached = set()
    tab.page.evaluate("document.activeElement.blur()")
    for _ in range(80):
        tab.page.keyboard.press("Tab")
        reached.add(tab.js("document.activeElement.id"))
    assert {
        "search",
        "pause",
        "span",
        "cursors",
        "plane-on",
        "record",
        "arm",
        "setpoint",
        "tab-drive",
    } <= reached
    tab.page.focus("#tab-drive")
    tab.page.keyboard.press("ArrowRight")
    assert tab.js("document.activeElement.id") == "tab-capture"
    tab.page.keyboard.press("?")
    tab.page.wait_for_selector("#keys[open]")


# --- the link ----------------------------------------------------------------------------------------


def test_it_goes_on_after_the_drive_was_killed_and_restarted(tab, bench):
    before = tab.js("eesm.history.count")
    bench.restart()
    tab.page.wait_for_selector("#banner", state="hidden")
    tab.until("eesm.timeline.epochs.length >= 2")
    tab.until(f"eesm.history.count > {before + 1500}")
    # What was seen before the end is still there, left of a gap and a mark.
    assert tab.js("eesm.timeline.restarts().length") == 1
    start = tab.js("eesm.timeline.restarts()[0]")
    assert tab.js(f"eesm.history.find(eesm.history.levels[0], {start} - 0.2)") >= before - 1
    assert tab.js("eesm.timeline.device(eesm.history.latest)") < start
    tab.arm()


def test_it_goes_on_after_the_link_was_cut(tab):
    count = tab.js("eesm.history.count")
    # It may be back before anybody looks.
    tab.js("""(() => {
      const banner = document.querySelector("#banner");
      window.said = [];
      const observer = new MutationObserver(() => said.push(banner.textContent));
      observer.observe(banner, { attributes: true, subtree: true });
      eesm.link.socket.close();
    })()""")
    tab.until("said.some(text => text.includes('is lost'))")
    tab.page.wait_for_selector("#banner", state="hidden")
    tab.until(f"eesm.history.count > {count + 500}")


def test_it_goes_on_after_the_server_was_started_again(tab, bench):
    count = tab.js("eesm.history.count")
    bench.serve_again()
    tab.until(f"eesm.history.count > {count + 500}")
    assert tab.js("eesm.history.levels[0].x[0] < eesm.history.latest")
    # The drive went on counting, and so does the axis.
    assert tab.js("eesm.timeline.restarts().length") == 0
    tab.arm()


def test_a_page_of_another_origin_gets_nothing(tab, bench, chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.route(
        "http://evil.example/", lambda route: route.fulfill(body="<p>evil</p>", content_type="text/html")
    )
    page.goto("http://evil.example/")
    url = bench.server.url
    failed = page.evaluate(
        f"fetch('{url}stop', {{method: 'POST'}}).then(() => 'came through', () => 'failed')"
    )
    assert failed == "failed"
    socket = f"""new Promise(done => {{
      const socket = new WebSocket("{url.replace("http", "ws")}live");
      socket.onopen = () => done("open");
      socket.onerror = () => done("refused");
    }})"""
    assert page.evaluate(socket) == "refused"
    wrong = page.goto(url.replace(bench.server.token, "wrong"))
    assert wrong.status == 403
    assert page.goto(f"{url}page/main.js").status == 200
    context.close()
