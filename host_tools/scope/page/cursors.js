// Two cursors, A and B: set by a click, moved by dragging, and what lies between them.

import { colour, h, put } from "./dom.js";
import * as format from "./format.js";

const NEAR = 8; // px

export class Cursors {
  constructor(box, scope) {
    this.box = box;
    this.scope = scope;
    this.on = false;
    this.places = { a: null, b: null };
    this.dragging = null;
  }

  show(on) {
    this.on = on;
    const { from, to } = this.scope.view;
    for (const [name, share] of [["a", 0.35], ["b", 0.65]]) {
      const x = this.places[name];
      if (on && (x == null || !(x >= from && x <= to))) this.places[name] = from + share * (to - from);
    }
    this.box.hidden = !on;
    this.names = null;
  }

  /** Put a cursor at a place of the axis. */
  set(name, x) {
    if (x == null) return;
    this.places[name] = x;
    this.scope.redraw();
  }

  /** Move a cursor by a share of what is seen. */
  move(name, share) {
    const { from, to } = this.scope.view;
    this.set(name, this.places[name] + share * (to - from));
  }

  listen(plot) {
    const place = (event) => plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
    plot.over.addEventListener("pointerdown", (event) => {
      if (!this.on || event.button) return;
      for (const name of ["a", "b"]) {
        const left = plot.valToPos(this.places[name], "x");
        if (Math.abs(left - (event.clientX - plot.over.getBoundingClientRect().left)) < NEAR) this.dragging = name;
      }
      if (this.dragging) {
        plot.over.setPointerCapture(event.pointerId);
        event.stopPropagation();
      }
    });
    plot.over.addEventListener("pointermove", (event) => this.dragging && this.set(this.dragging, place(event)));
    plot.over.addEventListener("pointerup", () => setTimeout(() => (this.dragging = null)));
    plot.over.addEventListener("click", (event) => {
      if (this.on && !this.dragging) this.set(event.shiftKey ? "b" : "a", place(event));
    });
  }

  draw(u) {
    if (!this.on) return;
    const { ctx, bbox } = u;
    const { from, to } = this.scope.view;
    const size = devicePixelRatio;
    ctx.save();
    const { a, b } = this.places;
    const clip = (x) => Math.min(Math.max(x, from), to);
    const [left, right] = [clip(Math.min(a, b)), clip(Math.max(a, b))].map((x) => u.valToPos(x, "x", true));
    ctx.fillStyle = colour("--between");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.font = `600 ${11 * size}px ${colour("--mono")}`;
    ctx.textBaseline = "alphabetic";
    for (const name of ["a", "b"]) {
      const x = this.places[name];
      if (x < from || x > to) continue;
      const at = Math.round(u.valToPos(x, "x", true)) + 0.5;
      ctx.strokeStyle = ctx.fillStyle = colour("--cursor");
      ctx.lineWidth = size;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.fillRect(at - 7 * size, bbox.top, 14 * size, 14 * size);
      ctx.fillStyle = colour("--panel");
      ctx.textAlign = "center";
      ctx.fillText(name.toUpperCase(), at, bbox.top + 11 * size);
    }
    ctx.restore();
  }

  /** The table of values at A and B. */
  label() {
    if (!this.on) return;
    const { choices, source, timeline } = this.scope;
    const names = choices.shown;
    if (this.names !== names.join()) this.build(names);
    const { a, b } = this.places;
    const time = (x) => (source().relative ? format.span(x) : format.clock(timeline.device(x)));
    put(this.cells.time[0], time(a));
    put(this.cells.time[1], time(b));
    put(this.cells.time[2], format.span(b - a));
    put(this.cells.time[3], b === a ? "–" : `${format.number(1 / Math.abs(b - a))} Hz`);
    for (const name of names) {
      const { source: signal, factor } = choices.choice(name);
      const [first, second] = [a, b].map((x) => {
        const value = source().at(x, signal);
        return value == null ? null : value * factor;
      });
      const cells = this.cells[name];
      put(cells[0], format.number(first));
      put(cells[1], format.number(second));
      const delta = first == null || second == null ? null : second - first;
      put(cells[2], format.number(delta));
      put(cells[3], delta == null || a === b ? "–" : `${format.number(delta / (b - a))} /s`);
    }
  }

  build(names) {
    const { choices } = this.scope;
    this.names = names.join();
    this.cells = {};
    const row = (key, ...heading) => {
      this.cells[key] = [0, 1, 2, 3].map(() => h("td"));
      return h("tr", {}, h("th", { scope: "row" }, ...heading), ...this.cells[key]);
    };
    this.box.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, ...["", "A", "B", "Δ", "1/Δt, slope"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, row("time", "time"), ...names.map((name) =>
        row(name, h("i", { style: `background: var(--t${choices.colour(name)})` }), name, h("small", {}, format.unit(choices.unit(name))))))));
  }
}
