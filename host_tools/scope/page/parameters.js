// Parameters with unit and range; Enter sends, undo takes the last change back.

import { $, h } from "./dom.js";
import * as format from "./format.js";
import { complain, toast } from "./toast.js";

const short = (value) => Number(value.toPrecision(7)).toString();

export class Parameters {
  constructor(box, link) {
    this.box = box;
    this.link = link;
    this.inputs = new Map();
    $("#undo").onclick = () => this.takeBack();
    $("#parameter-search").addEventListener("input", () => this.filter());
  }

  async load() {
    try {
      const { settings, undo } = await this.link.ask("settings");
      this.build(settings);
      this.offer(undo);
    } catch (error) {
      complain(error);
    }
  }

  build(settings) {
    this.inputs.clear();
    this.box.replaceChildren(...settings.map((each) => this.row(each)));
    this.filter();
  }

  row({ name, unit, low, high, meaning, value }) {
    const input = h("input", { type: "number", step: "any", min: low, max: high, value: short(value), id: `p-${name}`,
      "aria-describedby": `m-${name}` });
    const form = h("form.parameter", { novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.send(name, input);
    } },
      h("label", { for: `p-${name}` }, name),
      h("span.field", {}, input, h("small", {}, format.unit(unit))),
      h("p", { id: `m-${name}` }, meaning, h("span.range", {}, ` ${format.short(low)} … ${format.short(high)}`)));
    input.addEventListener("input", () => {
      const number = Number(input.value);
      form.classList.toggle("changed", number !== this.inputs.get(name).value);
      form.classList.toggle("wrong", input.value === "" || !(number >= low && number <= high));
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      input.value = short(this.inputs.get(name).value);
      form.classList.remove("changed", "wrong");
    });
    this.inputs.set(name, { input, form, value });
    return form;
  }

  async send(name, input) {
    if (input.value === "") return;
    try {
      const { before, value } = await this.link.ask("set", { name, value: Number(input.value) });
      input.form.classList.remove("changed", "wrong");
      toast(`${name}: ${format.short(before)} → ${format.short(value)}`, "", "good");
    } catch (error) {
      complain(error);
    }
  }

  async takeBack() {
    try {
      const { name, value } = await this.link.ask("undo");
      toast(`${name} is ${format.short(value)} again.`, "", "good");
    } catch (error) {
      complain(error);
    }
  }

  /** A parameter was changed, by this page or another. */
  changed({ name, value, undo }) {
    const row = this.inputs.get(name);
    if (row) {
      row.value = value;
      row.input.value = short(value);
      row.form.classList.remove("changed", "wrong");
      row.form.classList.add("fresh");
      setTimeout(() => row.form.classList.remove("fresh"), 900);
    }
    this.offer(undo);
  }

  /** What undo would take back. */
  offer(undo) {
    $("#undo").disabled = !undo;
    $("#undo").title = undo ? `Set ${undo} again` : "Nothing was changed yet";
  }

  filter() {
    const text = $("#parameter-search").value.toLowerCase();
    for (const [name, { form }] of this.inputs) form.hidden = !`${name} ${form.textContent}`.toLowerCase().includes(text);
  }
}
