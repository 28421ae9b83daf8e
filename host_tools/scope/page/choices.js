// Which signals are shown where, in which colour; kept in the browser for the next time.

export const COLOURS = 10;
const START = [
  ["speed", "speed_ref"],
  ["i_d", "i_q", "i_f"],
  ["torque", "torque_ref"],
];
const KEY = "panes";

export class Choices {
  constructor(changed) {
    this.changed = changed;
    this.signals = new Map(); // name: what the drive says of it
    this.panes = START.map((names) => [...names]);
    this.active = 0;
    this.perUnit = localStorage.getItem("per-unit") === "yes";
    this.taken = new Map(); // name: number of its colour
    try {
      const kept = JSON.parse(localStorage.getItem(KEY));
      if (Array.isArray(kept) && kept.length && kept.every(Array.isArray)) this.panes = kept;
    } catch {
      // Whatever it was, it is written anew with the next choice.
    }
  }

  /** The drive's signals, of which the panes may only show these. */
  know(signals) {
    this.signals = new Map(signals.map((signal) => [signal.name, signal]));
    this.panes = this.panes.map((names) => names.filter((name) => this.signals.has(name)));
    this.update();
  }

  get shown() {
    return [...new Set(this.panes.flat())];
  }

  /** What must be streamed for what is shown. */
  get sources() {
    return [...new Set(this.shown.map((name) => this.signals.get(name)?.source).filter(Boolean))];
  }

  /** Factor from the streamed value to that shown. */
  factor(name) {
    const { scale, base } = this.signals.get(name);
    return this.perUnit ? scale / base : scale;
  }

  unit(name) {
    const { unit, base } = this.signals.get(name);
    return this.perUnit && base !== 1 ? "p.u." : unit;
  }

  /** What is 1 per unit, in the unit shown. */
  base(name) {
    const { base } = this.signals.get(name);
    return this.perUnit && base !== 1 ? 1 : base;
  }

  choice(name) {
    return { name, source: this.signals.get(name).source, factor: this.factor(name) };
  }

  toggle(name, pane = this.active) {
    const names = this.panes[pane];
    const at = names.indexOf(name);
    if (at >= 0) names.splice(at, 1);
    else names.push(name);
    this.update();
  }

  addPane() {
    this.panes.push([]);
    this.active = this.panes.length - 1;
    this.update();
  }

  removePane(pane) {
    this.panes.splice(pane, 1);
    if (!this.panes.length) this.panes.push([]);
    this.active = Math.min(this.active, this.panes.length - 1);
    this.update();
  }

  activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    this.changed("active");
  }

  setPerUnit(yes) {
    this.perUnit = yes;
    localStorage.setItem("per-unit", yes ? "yes" : "no");
    this.changed("panes");
  }

  colour(name) {
    return this.taken.get(name) ?? 0;
  }

  update() {
    const shown = this.shown;
    for (const name of this.taken.keys()) if (!shown.includes(name)) this.taken.delete(name);
    for (const name of shown) {
      if (this.taken.has(name)) continue;
      const used = new Set(this.taken.values());
      let free = 0;
      while (used.has(free) && free < COLOURS - 1) free++;
      this.taken.set(name, used.has(free) ? this.taken.size % COLOURS : free);
    }
    if (this.signals.size) localStorage.setItem(KEY, JSON.stringify(this.panes));
    this.changed("panes");
  }
}
