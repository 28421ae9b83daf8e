// The list of signals: a click shows one in the active pane, or takes it away.

import { $, h } from "./dom.js";
import * as format from "./format.js";

const COMMON = [
  "speed", "speed_ref", "torque", "torque_ref", "torque_max", "i_d", "i_d_ref", "i_q", "i_q_ref", "i_f", "i_f_ref",
  "u_d", "u_q", "u_f", "u_dc", "i_a", "i_b", "theta_e", "w_e", "drive_state", "limited", "load_torque",
  "temperature_board", "temperature_stator", "temperature_rotor",
];
const TITLES = { state: "State", parameter: "Parameters", input: "Samples and inputs", output: "Outputs", constant: "Constants" };

export class SignalList {
  constructor(box, search, choices) {
    this.box = box;
    this.search = search;
    this.choices = choices;
    this.rows = [];
    search.addEventListener("input", () => this.filter());
  }

  know(signals) {
    this.rows = [];
    const named = new Map(signals.map((signal) => [signal.name, signal]));
    const groups = [["Common", COMMON.map((name) => named.get(name)).filter(Boolean)]];
    for (const [role, title] of Object.entries(TITLES)) {
      const rest = signals.filter((signal) => signal.role === role && !COMMON.includes(signal.name));
      if (rest.length) groups.push([title, rest]);
    }
    this.box.replaceChildren(...groups.map(([title, list], k) => h("details", k === 0 ? { open: true } : {},
      h("summary", {}, title, h("small", {}, `${list.length}`)), ...list.map((signal) => this.row(signal)))));
    this.filter();
    this.mark();
  }

  row(signal) {
    const swatch = h("i");
    const element = h("button.signal", { title: `${signal.meaning}${signal.unit ? ` [${signal.unit}]` : ""}`, "aria-pressed": "false",
      "data-signal": signal.name, onclick: () => this.choices.toggle(signal.name) },
      swatch, h("b", {}, signal.name), h("small", {}, format.unit(signal.unit)), h("span", {}, signal.meaning));
    this.rows.push({ signal, element, swatch });
    return element;
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { signal, element } of this.rows) {
      const text = `${signal.name} ${signal.meaning} ${signal.unit}`.toLowerCase();
      element.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of this.box.children) {
      const found = group.querySelectorAll(".signal:not([hidden])").length;
      group.hidden = !found;
      if (words.length) group.open = found > 0;
    }
    $("#no-signal").hidden = !words.length || this.rows.some(({ element }) => !element.hidden);
  }

  /** Show which are shown. */
  mark() {
    const { choices } = this;
    const here = choices.panes[choices.active] ?? [];
    for (const { signal, element, swatch } of this.rows) {
      const shown = choices.shown.includes(signal.name);
      element.setAttribute("aria-pressed", String(here.includes(signal.name)));
      element.classList.toggle("shown", shown);
      swatch.style.background = shown ? `var(--t${choices.colour(signal.name)})` : "";
    }
  }
}
