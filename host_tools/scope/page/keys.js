// The keyboard: one key for each thing that is done often.  Space, which stops, is in stop.js.

import { typing } from "./stop.js";

/** actions: {key: function}; a key counts when the user does not fill in a field. */
export function setUpKeys(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const field = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (typing(event.target) || (field && event.target.type !== "checkbox")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
