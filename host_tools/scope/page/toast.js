// Short words that come and go, and are read out.

import { $, h } from "./dom.js";

/** Shows a sentence for a while; what: good, bad or "". */
export function toast(text, hint = "", what = "") {
  const box = $("#toasts");
  for (const old of [...box.children].slice(0, -2)) old.remove();
  const element = h(`div.toast.${what || "plain"}`, {}, h("span", {}, text), hint ? h("small", {}, hint) : null);
  box.append(element);
  setTimeout(() => element.remove(), what === "bad" ? 9000 : 3500);
}

/** For a request's rejection. */
export const complain = (error) => toast(error.text ?? String(error), error.hint ?? "", "bad");
