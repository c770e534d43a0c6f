// Texts of models and users: shown as they are, and never as markup.

/** Control characters made visible, line ends made one kind; the rest untouched. */
export function printable(text) {
  return String(text ?? "")
    .replace(/\r\n?/g, "\n")
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\x7f/g, "\u2421");
}

export function put(element, text) {
  element.textContent = printable(text);
}

/** What people wrote, as every store can keep it: no NUL, no half characters. */
export function storable(text) {
  const whole = text.replaceAll("\0", "");
  return whole.toWellFormed ? whole.toWellFormed() : whole;
}

export function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) put(element, text);
  return element;
}

/** A key for one submission. */
export function unique() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
