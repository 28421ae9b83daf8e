// Triggered capture on the drive itself: every PWM period, with rows from before the trigger.

import { $, h, put } from "./dom.js";
import * as format from "./format.js";
import { complain, toast } from "./toast.js";

const CHANNELS = 8;
const ROWS = 512;

/** A captured record, with the same ways to look at it as the history. */
export class Captured {
  constructor({ times, columns, trigger, epoch }) {
    this.relative = true; // times are counted from the trigger
    this.xs = Float64Array.from(times);
    this.columns = columns;
    this.trigger = trigger;
    this.epoch = epoch;
    this.start = times[0];
    this.end = times.at(-1);
  }

  find(x) {
    let [low, high] = [0, this.xs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.xs[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  window(from, to, choices) {
    const [first, end] = [Math.max(0, this.find(from) - 1), Math.min(this.xs.length, this.find(to) + 1)];
    return [Array.from(this.xs.subarray(first, end)), ...choices.map(({ source, factor }) => {
      const column = this.columns[source];
      return column ? column.slice(first, end).map((value) => value * factor) : new Array(end - first).fill(null);
    })];
  }

  rows(from, to, sources) {
    const [first, end] = [this.find(from), this.find(to)];
    return {
      xs: this.xs.slice(first, end), gaps: 0, whole: true,
      columns: sources.map((name) => Float32Array.from(this.columns[name]?.slice(first, end) ?? new Array(end - first).fill(NaN))),
    };
  }

  at(x, source) {
    const k = Math.min(Math.max(this.find(x + 1e-12) - 1, 0), this.xs.length - 1);
    return this.columns[source]?.[k] ?? null;
  }
}

export class Capture {
  /** scope: {link, choices, took(captured)}. */
  constructor(form, scope) {
    this.form = form;
    this.scope = scope;
    this.waits = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.waits) this.cancel();
      else this.begin();
    });
    form.elements.edge.addEventListener("change", () => this.label());
    form.elements.pre.addEventListener("input", () => this.label());
    form.elements.trigger.addEventListener("change", () => this.label());
  }

  know(signals) {
    const kept = this.form.elements.trigger.value || "i_q";
    const streamable = signals.filter(({ name, source }) => name === source);
    this.form.elements.trigger.replaceChildren(...streamable.map(({ name }) => h("option", { value: name, selected: name === kept }, name)));
    this.label();
  }

  label() {
    const { edge, pre, trigger, level } = this.form.elements;
    const crossing = ["rising", "falling"].includes(edge.value);
    trigger.disabled = level.disabled = !crossing;
    put($("#capture-pre"), `${pre.value} of ${ROWS} rows`);
    put($("#capture-unit"), format.unit(this.scope.choices.signals.get(trigger.value)?.unit ?? ""));
    const { sources } = this.scope.choices;
    const over = sources.length > CHANNELS;
    put($("#capture-names"), `${sources.slice(0, CHANNELS).join(", ") || "no signal is shown"}${over ? ` (the first ${CHANNELS} of ${sources.length})` : ""}`);
  }

  async begin() {
    const { edge, pre, trigger, level } = this.form.elements;
    const { link, choices } = this.scope;
    const names = choices.sources.slice(0, CHANNELS);
    if (!names.length) return toast("Choose signals first.", "", "bad");
    this.wait(true);
    try {
      const { capture } = await link.ask("capture", {
        names, edge: edge.value, trigger: trigger.value, level: Number(level.value), pre: Number(pre.value),
      });
      this.scope.took(new Captured(capture));
      toast(`Captured ${capture.times.length} rows around ${format.clock(capture.trigger)}.`, "", "good");
      if (this.form.elements.again.checked) {
        setTimeout(() => !this.waits && this.form.elements.again.checked && this.begin(), 300);
      }
    } catch (error) {
      if (!/cancelled/.test(error.text)) complain(error);
    } finally {
      this.wait(false);
    }
  }

  cancel() {
    this.form.elements.again.checked = false;
    this.scope.link.ask("cancel").catch(complain);
  }

  wait(waits) {
    this.waits = waits;
    put($("#capture-go"), waits ? "Cancel" : "Capture");
    $("#capture-go").classList.toggle("waiting", waits);
    put($("#capture-state"), waits ? "waiting for the trigger" : "");
  }
}
