// Stop: a request of its own, on a connection of its own, from every page, behind nothing.

import { $ } from "./dom.js";
import { toast } from "./toast.js";

const SECOND_WAY = 150; // ms until it is sent over the websocket as well

/** True while the user types words, where a space is a space. */
export function typing(target) {
  if (target instanceof HTMLTextAreaElement) return true;
  return target instanceof HTMLInputElement && ["text", "search"].includes(target.type);
}

export class Stop {
  constructor(link) {
    this.link = link;
    for (const button of document.querySelectorAll("[data-stop]")) {
      // At the press, not at the release.
      button.addEventListener("pointerdown", () => this.press());
      button.addEventListener("click", ({ detail }) => detail === 0 && this.press());
    }
    addEventListener("keydown", (event) => this.key(event), { capture: true });
    // A button that has the focus would be pressed by the same key's release.
    addEventListener("keyup", (event) => this.swallow(event), { capture: true });
  }

  swallow(event) {
    if (event.code !== "Space" || typing(event.target)) return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  key(event) {
    if (this.swallow(event) && !event.repeat) this.press();
  }

  async press() {
    const began = performance.now();
    document.body.classList.add("stopping");
    setTimeout(() => document.body.classList.remove("stopping"), 400);
    const second = setTimeout(() => this.link.ask("stop").catch(() => {}), SECOND_WAY);
    try {
      const answer = await fetch("stop", { method: "POST", keepalive: true, priority: "high" });
      if (!answer.ok) throw await answer.json();
      toast(`Stop obeyed after ${(performance.now() - began).toFixed(0)} ms.`, "", "good");
      $("#unsent").hidden = true;
    } catch (error) {
      $("#unsent").hidden = false;
      toast("Stop was NOT confirmed.", error.text ?? "no answer from eesm scope", "bad");
    } finally {
      clearTimeout(second);
    }
  }
}
