// Elements without markup in strings: nothing that comes over the link is ever parsed as HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

/** h("button.primary", {onclick, title}, "text", child): an element. */
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Puts text into an element only when it is another one: writing costs a layout. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Hands a file to the user. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
