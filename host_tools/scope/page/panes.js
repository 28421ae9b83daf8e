// The panes: one chart each, all over the same time.

import uPlot from "../uplot/uPlot.esm.js";
import { colour, h, put } from "./dom.js";
import * as format from "./format.js";

const AXIS = 58; // px
const LEAST = 90;

/** A range for values from low to high: air above and below, calm while they move within it. */
function calm(low, high, before, least) {
  if (low == null || high == null || !Number.isFinite(low) || !Number.isFinite(high)) return before ?? [-1, 1];
  const size = Math.max(high - low, Math.max(Math.abs(low), Math.abs(high)) * 0.02, least);
  const spare = (size - (high - low)) / 2 + 0.08 * size;
  const want = [low - spare, high + spare];
  if (before && want[0] >= before[0] && want[1] <= before[1] && size > 0.45 * (before[1] - before[0])) return before;
  return [want[0] - 0.05 * size, want[1] + 0.05 * size];
}

// Share of the base below which a signal counts as still: noise must not fill a pane.
const STILL = 0.004;

const MARKS = ["--mark", "--accent", "--bad"];
const gravity = ({ kind }) => (kind === "fault" || kind === "restart" ? 2 : kind === "note" ? 1 : 0);

/** Where marks crowd, only those that find room say what they are, the gravest first; the notes tell all. */
export function withRoom(marks) {
  const kept = [];
  for (const mark of marks.toSorted((a, b) => gravity(b) - gravity(a)))
    if (kept.every((other) => mark.right <= other.left || mark.left >= other.right)) kept.push(mark);
  return kept;
}

export class Panes {
  /** scope: {choices, view, cursors, source(), timeline, marks()}; draws into `box`. */
  constructor(box, scope) {
    this.box = box;
    this.scope = scope;
    this.list = [];
    this.pointer = null; // place of the pointer on the axis
    new ResizeObserver(() => this.resize()).observe(box);
  }

  /** Make every pane anew: other signals, units or colours. */
  build() {
    for (const pane of this.list) pane.plot.destroy();
    const { choices } = this.scope;
    this.right = choices.panes.some((names) => new Set(names.map((name) => choices.unit(name))).size > 1);
    this.list = choices.panes.map((names, k) => this.make(names, k));
    this.box.replaceChildren(...this.list.map(({ element }) => element));
    this.resize();
  }

  make(names, number) {
    const { choices } = this.scope;
    const pane = { names, ranges: new Map() };
    pane.chips = names.map((name) => this.chip(name, number));
    const heading = h(
      "div.chips",
      {},
      ...pane.chips.map(({ element }) => element),
      names.length ? null : h("span.hint", {}, "Empty pane: choose signals from the list."),
      h("button.icon", { title: "Remove this pane", "aria-label": `Remove pane ${number + 1}`,
        onclick: () => choices.removePane(number) }, "×"),
    );
    const chart = h("div.chart");
    pane.element = h("section.pane", { "aria-label": `Pane ${number + 1}: ${names.join(", ") || "empty"}`,
      onpointerdown: () => choices.activate(number) }, heading, chart);
    pane.plot = this.plot(pane, chart, number);
    return pane;
  }

  chip(name, number) {
    const { choices } = this.scope;
    const value = h("output", {}, "–");
    const signal = choices.signals.get(name);
    const element = h("button.chip", { title: `${signal.meaning}. Click: remove`, "data-signal": name,
      "aria-label": `${name}: remove from pane ${number + 1}`, onclick: () => choices.toggle(name, number) },
      h("i", { style: `background: var(--t${choices.colour(name)})` }),
      h("b", {}, name), value, h("small", {}, format.unit(choices.unit(name))));
    return { name, value, element };
  }

  plot(pane, chart, number) {
    const { choices, view, timeline } = this.scope;
    const units = [...new Set(pane.names.map((name) => choices.unit(name)))];
    const last = number === choices.panes.length - 1;
    const ink = colour("--dim");
    const grid = { stroke: colour("--grid"), width: 1 };
    const font = `11px ${colour("--mono")}`;
    const axis = { stroke: ink, font, ticks: { show: false }, grid, gap: 4 };
    const scales = { x: { time: false, range: () => [view.from, view.to] } };
    const axes = [{
      ...axis, size: last ? 26 : 6, space: 90,
      values: (u, splits) => splits.map((x) => (last ? this.tick(x, view.to - view.from) : "")),
    }];
    (units.length ? units : [""]).forEach((unit, k) => {
      const scale = `y${k}`;
      const least = STILL * Math.max(1e-9, ...pane.names.filter((name) => choices.unit(name) === unit).map((name) => choices.base(name)));
      scales[scale] = { range: (u, low, high) => {
        const range = calm(low, high, pane.ranges.get(scale), least);
        pane.ranges.set(scale, range);
        return range;
      } };
      if (k < 2) axes.push({ ...axis, scale, side: k ? 1 : 3, size: AXIS, space: 26,
        grid: k ? { show: false } : grid,
        values: (u, splits) => splits.map((value) => format.short(value)) });
    });
    const series = [{}, ...pane.names.map((name) => ({
      scale: `y${units.indexOf(choices.unit(name))}`, stroke: colour(`--t${choices.colour(name)}`),
      width: 1.4, points: { show: false }, spanGaps: false,
    }))];
    const plot = new uPlot({
      width: 400, height: 160, scales, axes, series, legend: { show: false },
      padding: [6, units.length > 1 ? 0 : this.right ? AXIS : 12, 0, 0],
      cursor: { sync: { key: "scope" }, y: false, points: { size: 7 }, drag: { x: true, y: false, setScale: false, dist: 6 } },
      hooks: {
        setCursor: [(u) => {
          this.pointer = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null;
        }],
        setSelect: [(u) => {
          if (u.select.width > 4 && !this.scope.cursors.dragging) {
            view.stretch(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          }
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        draw: [(u) => this.drawMarks(u, number), (u) => this.scope.cursors.draw(u)],
      },
    }, [[], ...pane.names.map(() => [])], chart);
    plot.over.addEventListener("dblclick", () => view.pause(false));
    plot.over.addEventListener("wheel", (event) => {
      event.preventDefault();
      view.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.pointer ?? undefined);
    }, { passive: false });
    this.scope.cursors.listen(plot);
    return plot;
  }

  /** Device time of a tick, with as many places as the picture can tell apart. */
  tick(x, span) {
    const { source, timeline } = this.scope;
    const places = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(span / 5))));
    if (source().relative) return `${(x * 1e3).toFixed(Math.max(0, places - 3)).replace("-", "\u2212")} ms`;
    return `${timeline.device(x).toFixed(places)} s`;
  }

  drawMarks(u, number) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * devicePixelRatio}px ${colour("--sans")}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    const seen = this.scope.marks().filter(({ x }) => x >= this.scope.view.from && x <= this.scope.view.to)
      .map(({ x, text, kind }) => {
        const words = text.length > 24 ? `${text.slice(0, 23)}…` : text;
        const left = Math.round(u.valToPos(x, "x", true)) + 0.5;
        return { kind, words, left, right: left + ctx.measureText(words).width + 10 * devicePixelRatio };
      });
    // The gravest is drawn last, over the others, and says first what it is.
    for (const { kind, left } of seen.toSorted((a, b) => gravity(a) - gravity(b))) {
      ctx.strokeStyle = colour(MARKS[gravity({ kind })]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.strokeStyle = colour("--panel");
    ctx.lineWidth = 3 * devicePixelRatio;
    ctx.lineJoin = "round";
    if (!number) for (const { kind, left, words } of withRoom(seen)) {
      const [x, y] = [left + 4 * devicePixelRatio, bbox.top + 11 * devicePixelRatio];
      ctx.strokeText(words, x, y);
      ctx.fillStyle = colour(MARKS[gravity({ kind })]);
      ctx.fillText(words, x, y);
    }
    ctx.restore();
  }

  resize() {
    const width = this.box.clientWidth;
    if (!width || !this.list.length) return;
    this.box.style.setProperty("--panes", this.list.length);
    const room = this.box.clientHeight;
    const each = this.list.map(({ element }) => element.firstChild.offsetHeight + 2);
    const free = room - each.reduce((sum, one) => sum + one, 0) - 20;
    this.list.forEach(({ plot, element }, k) => {
      const last = k === this.list.length - 1;
      const height = Math.max(LEAST, Math.floor(free / this.list.length)) + (last ? 20 : 0);
      plot.setSize({ width: element.clientWidth, height });
    });
    this.draw();
  }

  /** Draw what is in view now. */
  draw() {
    const { choices, view, source } = this.scope;
    const from = source();
    for (const { plot, names } of this.list) {
      const pixels = plot.bbox.width / devicePixelRatio || 400;
      plot.setData(from.window(view.from, view.to, names.map((name) => choices.choice(name)), pixels));
    }
    this.label();
  }

  /** Numbers in the chips: at the pointer, else the newest in view. */
  label() {
    const { choices, view, source } = this.scope;
    const x = this.pointer ?? view.to;
    for (const pane of this.list) {
      for (const { name, value } of pane.chips) {
        const { source: signal, factor } = choices.choice(name);
        const found = source().at(x, signal);
        put(value, format.number(found == null ? null : found * factor));
      }
      pane.element.classList.toggle("active", pane === this.list[choices.active]);
    }
  }
}
