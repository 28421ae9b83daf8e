// Puts the parts together: what comes in, what is drawn, what the buttons do.

import { Capture } from "./capture.js";
import { Choices } from "./choices.js";
import { Cursors } from "./cursors.js";
import { $, h, put } from "./dom.js";
import { DrivePanel } from "./drivepanel.js";
import * as format from "./format.js";
import { History } from "./history.js";
import { setUpKeys } from "./keys.js";
import { Link, unpack } from "./link.js";
import { Notes } from "./notes.js";
import { Panes } from "./panes.js";
import { Parameters } from "./parameters.js";
import { NEEDS, Plane } from "./plane.js";
import { setUpSave } from "./save.js";
import { SignalList } from "./signals.js";
import { Spectra } from "./spectra.js";
import { Stop } from "./stop.js";
import { setUpTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { complain } from "./toast.js";
import { View } from "./view.js";

const FRAME = 1000 / 32; // ms between two pictures

const timeline = new Timeline();
const history = new History();
const layouts = new Map(); // number: {names, epoch, divider}
let drive = null;
let captured = null; // the last capture
let showsCapture = false;
let liveView = null; // the view to come back to from a capture
let dirty = true;
let next = 0; // period that the next row should have
let lastLayout = 0;
let rows = 0; // received since the rate was shown last

const redraw = () => (dirty = true);
const view = new View(() => {
  showView();
  redraw();
});
const choices = new Choices((what) => {
  if (!drive) return;
  if (what === "panes") {
    want();
    panes.build();
    spectra.build();
    cursors.names = null;
  }
  if (what === "active") spectra.build();
  list.mark();
  capture.label();
  redraw();
});
const source = () => (showsCapture && captured ? captured : history);
const marks = () => {
  if (showsCapture) return [{ x: 0, text: "trigger", kind: "trigger" }];
  return [...notes.all, ...timeline.restarts().map((x) => ({ x, text: "drive restarted", kind: "restart" }))];
};
const scope = { choices, view, source, timeline, marks, redraw, get drive() { return drive; } };

const link = new Link({ word: hear, rows: take, up: connected, down: disconnected });
scope.link = link;
const stop = new Stop(link);
const cursors = new Cursors($("#cursor-table"), scope);
scope.cursors = cursors;
const panes = new Panes($("#panes"), scope);
const list = new SignalList($("#signal-list"), $("#search"), choices);
const panel = new DrivePanel(scope);
const parameters = new Parameters($("#parameter-list"), link);
const notes = new Notes($("#note-list"), { link, timeline, goto: (x) => view.stretch(x - view.span / 2, x + view.span / 2) });
const plane = new Plane($("#plane"), scope);
const spectra = new Spectra($("#spectrum"), $("#peaks"), scope);
const capture = new Capture($("#capture-form"), { link, choices, took });
setUpSave(panes, scope);

// --- what comes in ---------------------------------------------------------------------------------

function hear(content) {
  const [kind] = Object.keys(content);
  handlers[kind]?.(content[kind]);
}

const handlers = {
  drive(content) {
    drive = content;
    panel.know(drive);
    capture.know(drive.signals);
    list.know(drive.signals);
    choices.know(drive.signals);
    parameters.load();
  },
  plane(content) {
    plane.machine = content;
    panel.scale(content);
    redraw();
  },
  layout(content) {
    layouts.set(content.number, content);
    if (layouts.size > 4) layouts.delete(layouts.keys().next().value);
    history.keep(content.names);
    $("#rate-choice").value = String(Math.round(content.rate));
  },
  status(content) {
    panel.status(content);
    plane.gauges = content.gauges;
  },
  faults: (content) => panel.faults(content),
  control: ({ holder }) => panel.control(holder),
  link: showLink,
  parameter: (content) => parameters.changed(content),
  mark(content) {
    notes.add(content);
    redraw();
  },
  event({ kind, text, time, epoch }) {
    if (kind === "state") panel.show(text);
    notes.add({ kind, text, time, epoch });
    redraw();
  },
  skipped(count) {
    $("#skipped").hidden = !count;
    put($("#skipped"), `${count} skipped`);
  },
  error: complain,
};

function take(buffer) {
  const message = unpack(buffer);
  const layout = layouts.get(message.layout);
  if (!layout || !drive) return;
  const { first, after, divider } = message;
  const xs = new Float64Array(message.rows);
  const gaps = new Uint8Array(message.rows);
  for (let k = 0; k < message.rows; k++) {
    const period = first + after[k];
    xs[k] = timeline.place(layout.epoch, period * drive.t_pwm);
    gaps[k] = message.layout !== lastLayout || Math.abs(period - next) > 0.5 ? 1 : 0;
    lastLayout = message.layout;
    next = period + divider;
  }
  history.append(xs, gaps, new Map(layout.names.map((name, k) => [name, message.columns[k]])));
  rows += message.rows;
  if (!showsCapture) view.follow(history.latest);
  if (view.live) redraw();
}

function want() {
  const names = [...new Set([...choices.sources, ...(plane.on ? NEEDS : [])])];
  link.ask("want", { names }).catch(complain);
}

function connected() {
  $("#led").className = "up";
  if (drive) want();
}

function disconnected() {
  showLink({ link: "lost", text: "The connection to eesm scope is lost.", hint: "Trying again by itself." });
}

function showLink({ link: state, text, hint }) {
  $("#led").className = state === "connected" ? "up" : "down";
  $("#led").setAttribute("aria-label", `link: ${state}`);
  const banner = $("#banner");
  banner.hidden = state === "connected";
  put(banner.firstElementChild, text);
  put(banner.lastElementChild, hint && state !== "connected" ? `${hint}` : "");
  document.body.classList.toggle("apart", state !== "connected");
}

// --- what is drawn ---------------------------------------------------------------------------------

let drawn = 0;
let began = 0;
let cost = 0; // ms of a picture, on average
// Layout and painting follow the drawing in the same turn, and without a graphics card take most of it; a message
// to oneself comes after them.
const painted = new MessageChannel();
painted.port1.onmessage = () => {
  cost += 0.1 * (performance.now() - began - cost);
};
function frame(now) {
  requestAnimationFrame(frame);
  // At most a third of the time is spent on pictures: keys and messages must get through on a slow computer.
  if (!dirty || now - drawn < Math.max(FRAME, 3 * cost) || !drive) return;
  drawn = now;
  dirty = false;
  began = performance.now();
  panes.draw();
  cursors.label();
  plane.draw();
  if (!spectra.draw()) dirty = true;
  painted.port2.postMessage(null);
}
requestAnimationFrame(frame);

let counted = performance.now();
setInterval(() => {
  const now = performance.now();
  put($("#rate"), `${Math.round((rows * 1000) / (now - counted))} rows/s`);
  rows = 0;
  counted = now;
}, 1000);

$("#panes").addEventListener("pointermove", () => panes.label());

function showView() {
  $("#pause").setAttribute("aria-pressed", String(!view.live));
  put($("#pause"), view.live ? "Pause" : "Go on");
  const spans = [...$("#span").options];
  const own = spans.find(({ dataset }) => dataset.own);
  const match = spans.find(({ value, dataset }) => !dataset.own && Math.abs(Number(value) / view.span - 1) < 1e-6);
  own?.remove();
  if (match) $("#span").value = match.value;
  else $("#span").append(h("option", { value: view.span, selected: true, "data-own": "yes" }, format.span(view.span)));
}

// --- captures --------------------------------------------------------------------------------------

function took(record) {
  captured = record;
  $("#captured").disabled = false;
  show(true, true);
}

/** Show the last capture, or what is live. */
function show(capture, anew = false) {
  if (capture && !captured) return;
  if (capture && (!showsCapture || anew)) {
    if (!showsCapture) liveView = { span: view.span };
    showsCapture = true;
    view.stretch(captured.start, captured.end);
  } else if (!capture && showsCapture) {
    showsCapture = false;
    view.live = true;
    view.span = liveView.span;
    view.follow(history.latest);
    view.changed();
  }
  $("#live").setAttribute("aria-pressed", String(!showsCapture));
  $("#captured").setAttribute("aria-pressed", String(showsCapture));
  $("#pause").disabled = showsCapture;
  for (const pane of panes.list) pane.ranges.clear();
  cursors.show(cursors.on);
  spectra.next = 0;
  redraw();
}

// --- what the buttons do ------------------------------------------------------------------------------

const goOn = () => (showsCapture ? show(false) : view.pause());
$("#pause").onclick = goOn;
$("#live").onclick = () => (showsCapture ? show(false) : view.pause(false));
$("#captured").onclick = () => show(true);
$("#span").onchange = ({ target }) => view.width(Number(target.value));
$("#rate-choice").onchange = ({ target }) => link.ask("rate", { value: Number(target.value) }).catch(complain);
$("#dismiss").onclick = () => ($("#unsent").hidden = true);
$("#add-pane").onclick = () => choices.addPane();
$("#help").onclick = () => $("#keys").showModal();
$("#record").onclick = async ({ currentTarget }) => {
  const on = currentTarget.getAttribute("aria-pressed") === "true";
  try {
    const { file, files } = await link.ask(on ? "finish" : "record");
    notes.add({ kind: "log", text: on ? files.join(", ") : file, time: timeline.device(history.latest), epoch: drive.epoch });
  } catch (error) {
    complain(error);
  }
};

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
  redraw();
}
function togglePerUnit() {
  choices.setPerUnit(!choices.perUnit);
  press($("#per-unit"), choices.perUnit);
}
function toggleCursors() {
  cursors.show(!cursors.on);
  press($("#cursors"), cursors.on);
  panes.resize();
}
function togglePlane() {
  plane.on = !plane.on;
  $("#plane-box").hidden = !plane.on;
  press($("#plane-on"), plane.on);
  want();
}
function toggleSpectrum() {
  spectra.on = !spectra.on;
  $("#spectrum-box").hidden = !spectra.on;
  press($("#spectrum-on"), spectra.on);
  spectra.build();
}
$("#per-unit").onclick = togglePerUnit;
$("#per-unit").setAttribute("aria-pressed", String(choices.perUnit));
$("#cursors").onclick = toggleCursors;
$("#plane-on").onclick = togglePlane;
$("#spectrum-on").onclick = toggleSpectrum;
new ResizeObserver(redraw).observe($("#plane"));

function openTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const open = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(open));
    tab.tabIndex = open ? 0 : -1;
    $(`#${tab.getAttribute("aria-controls")}`).hidden = !open;
  }
}
const tabs = ["drive", "capture", "parameters", "notes"];
for (const [k, name] of tabs.entries()) {
  const tab = $(`#tab-${name}`);
  tab.onclick = () => openTab(name);
  tab.onkeydown = ({ key }) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!by) return;
    const other = tabs[(k + by + tabs.length) % tabs.length];
    openTab(other);
    $(`#tab-${other}`).focus();
  };
}
openTab("drive");

function section(name) {
  document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("#bottom [data-tab]")) {
    button.setAttribute("aria-current", button.dataset.tab === name ? "page" : "false");
  }
  panes.resize();
}
for (const button of document.querySelectorAll("#bottom [data-tab]")) button.onclick = () => section(button.dataset.tab);
section("scope");

setUpTheme($("#theme"), () => {
  if (!drive) return;
  panes.build();
  spectra.build();
  redraw();
});

const move = (share) => (event) => {
  if (cursors.on) cursors.move(event.shiftKey ? "a" : "b", share / 50);
  else view.pan(share / 5);
};
setUpKeys({
  p: goOn,
  "+": () => view.zoom(0.5),
  "=": () => view.zoom(0.5),
  "-": () => view.zoom(2),
  ArrowLeft: move(-1),
  ArrowRight: move(1),
  c: toggleCursors,
  a: () => cursors.on && cursors.set("a", panes.pointer),
  b: () => cursors.on && cursors.set("b", panes.pointer),
  x: togglePlane,
  f: toggleSpectrum,
  u: togglePerUnit,
  n: () => choices.addPane(),
  t: () => $("#theme").click(),
  "/": () => {
    section("signals");
    $("#search").focus();
  },
  "?": () => $("#keys").showModal(),
  1: () => openTab("drive"),
  2: () => openTab("capture"),
  3: () => openTab("parameters"),
  4: () => openTab("notes"),
});

// What measurements look at; nothing in the page uses it.
globalThis.eesm = { hear, take, history, view, link, stop, timeline, choices, panes, cursors, cost: () => cost, t_pwm: () => drive.t_pwm,
  gauges: () => plane.gauges, machine: () => plane.machine };
