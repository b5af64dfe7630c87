// Small words for the document.

export const $ = (id) => document.getElementById(id);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Sets a text only when it differs: screen readers and layout are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}
