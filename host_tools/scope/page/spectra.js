// The spectrum of what is in view, of the signals of the active pane.

import uPlot from "../uplot/uPlot.esm.js";
import { colour, h, put } from "./dom.js";
import { spectrum } from "./fft.js";
import * as format from "./format.js";

const POINTS = 700;
const OFTEN = 200; // ms between two while live

export class Spectra {
  constructor(box, peaks, scope) {
    this.box = box;
    this.peaks = peaks;
    this.scope = scope;
    this.on = false;
    this.next = 0;
    new ResizeObserver(() => this.resize()).observe(box);
  }

  build() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.on) return;
    const { choices } = this.scope;
    this.names = [...choices.panes[choices.active]];
    const axis = { stroke: colour("--dim"), font: `11px ${colour("--mono")}`, ticks: { show: false }, grid: { stroke: colour("--grid"), width: 1 } };
    this.plot = new uPlot({
      width: this.box.clientWidth || 300, height: this.box.clientHeight || 200, legend: { show: false },
      scales: { x: { time: false }, y: { range: (u, low, high) => (high == null ? [-80, 20] : [Math.max(low, high - 100) - 3, high + 6]) } },
      axes: [{ ...axis, size: 26, values: (u, splits) => splits.map((f) => `${f} Hz`) },
        { ...axis, size: 46, values: (u, splits) => splits.map((v) => `${v}`.replace("-", "\u2212")) }],
      cursor: { y: false, drag: { x: true, y: false } },
      series: [{}, ...this.names.map((name) => ({ stroke: colour(`--t${choices.colour(name)}`), width: 1.2, points: { show: false } }))],
    }, [[], ...this.names.map(() => [])], this.box);
    this.next = 0;
    this.draw();
  }

  resize() {
    this.plot?.setSize({ width: this.box.clientWidth, height: this.box.clientHeight });
  }

  /** Draw, but not too often: false when it has to be tried again. */
  draw() {
    if (!this.on || !this.plot) return true;
    if (performance.now() < this.next) return false;
    this.next = performance.now() + OFTEN;
    const { choices, view, source } = this.scope;
    const wanted = this.names.map((name) => choices.choice(name));
    const { xs, columns, gaps } = source().rows(view.from, view.to, wanted.map((each) => each.source));
    const step = xs.length > 1 ? (xs.at(-1) - xs[0]) / (xs.length - 1) : 0;
    const found = columns.map((column) => spectrum(column, step));
    const first = found.find(Boolean);
    if (!first) {
      put(this.peaks, "Fewer than 16 rows are in view at full rate.");
      this.plot.setData([[], ...this.names.map(() => [])]);
      return true;
    }
    // The greatest of each group: a peak one bin wide must not fall between two pixels.
    const group = Math.max(1, Math.ceil(first.frequencies.length / POINTS));
    const frequencies = first.frequencies.filter((_, n) => n % group === 0);
    const decibel = found.map((each, k) => frequencies.map((_, n) => {
      if (!each) return null;
      const most = Math.max(...each.amplitudes.slice(n * group, (n + 1) * group));
      return 20 * Math.log10(Math.abs(most * wanted[k].factor) + 1e-9);
    }));
    this.plot.setData([frequencies, ...decibel], !this.plot.data[0].length || this.last !== first.n + step);
    this.last = first.n + step;
    this.peaks.replaceChildren(
      h("span", {}, `dB re 1 unit · ${first.n} rows · ${format.number(1 / (first.n * step), 3)} Hz${gaps ? ` · ${gaps} ${gaps === 1 ? "gap" : "gaps"}` : ""}`),
      ...found.map((each, k) => {
        if (!each) return null;
        let at = 0;
        each.amplitudes.forEach((value, n) => { if (value > each.amplitudes[at]) at = n; });
        return h("span.peak", {}, h("i", { style: `background: var(--t${choices.colour(this.names[k])})` }),
          `${this.names[k]} ${format.number(each.amplitudes[at] * wanted[k].factor, 3)} ${format.unit(choices.unit(this.names[k]))} at ${format.number(each.frequencies[at], 3)} Hz`);
      }).filter(Boolean),
    );
    return true;
  }
}
