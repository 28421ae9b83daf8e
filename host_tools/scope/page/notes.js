// What happened and what the user remarks, with device time; the same marks stand in the panes.

import { $, h } from "./dom.js";
import * as format from "./format.js";
import { complain } from "./toast.js";

const KEPT = 300;

export class Notes {
  /** scope: {link, timeline, goto(x)}. */
  constructor(list, scope) {
    this.list = list;
    this.scope = scope;
    this.all = []; // {x, time, text, kind}
    $("#note-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const input = $("#note");
      if (!input.value.trim()) return;
      try {
        await scope.link.ask("note", { text: input.value });
        input.value = "";
      } catch (error) {
        complain(error);
      }
    });
  }

  add({ time, epoch, text, kind }) {
    const x = this.scope.timeline.place(epoch, time);
    if (Number.isNaN(x)) return;
    this.all.push({ x, time, text, kind });
    this.list.prepend(h(`li.${kind.replace(" ", "-")}`, {}, h("button", { onclick: () => this.scope.goto(x) },
      h("time", {}, format.clock(time)), h("span", {}, kind === "note" ? text : `${kind}: ${text}`))));
    if (this.all.length > KEPT) {
      this.all.shift();
      this.list.lastChild.remove();
    }
    $("#no-note").hidden = true;
  }
}
