// Stop: by two ways at once, from every page, behind nothing; what gets there first is obeyed.

import { $ } from "./dom.js";
import { toast } from "./toast.js";

/** True while the user types words, where a space is a space. */
export function typing(target) {
  if (target instanceof HTMLTextAreaElement) return true;
  return target instanceof HTMLInputElement && ["text", "search"].includes(target.type);
}

export class Stop {
  constructor(link) {
    this.link = link;
    this.took = null; // ms from the last press to the drive's answer
    for (const button of document.querySelectorAll("[data-stop]")) {
      // At the press, not at the release.
      button.addEventListener("pointerdown", ({ timeStamp }) => this.press(timeStamp));
      button.addEventListener("click", ({ detail, timeStamp }) => detail === 0 && this.press(timeStamp));
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
    if (this.swallow(event) && !event.repeat) this.press(event.timeStamp);
  }

  /** began: when the key went down, which may be before the page got to know. */
  async press(began = performance.now()) {
    this.took = null;
    document.body.classList.add("stopping");
    setTimeout(() => document.body.classList.remove("stopping"), 400);
    try {
      // The websocket is open already, but may hang; a request of its own depends on nothing.
      await Promise.any([this.link.ask("stop"), this.post()]);
      this.took = performance.now() - began;
      toast(`Stop obeyed after ${this.took.toFixed(0)} ms.`, "", "good");
      $("#unsent").hidden = true;
    } catch ({ errors }) {
      $("#unsent").hidden = false;
      const said = errors.find(({ text }) => text);
      toast("Stop was NOT confirmed.", said?.text ?? "no answer from eesm scope", "bad");
    }
  }

  async post() {
    const answer = await fetch("stop", { method: "POST", keepalive: true, priority: "high" });
    if (!answer.ok) throw await answer.json();
  }
}
