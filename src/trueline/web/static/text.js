// Texts of models and users: shown as they are, and never as markup.

/** Control characters made visible, line ends made one kind; the rest untouched. */
export function printable(text) {
  return String(text ?? "")
    .replace(/\r\n?/g, "\n")
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\x7f/g, "\u2421");
}

const LONG = 40_000; // characters
const PIECE = 8_000;

/** Show a text; a very long one in pieces of which the browser lays out only those in sight. */
export function put(element, text) {
  const whole = printable(text);
  if (whole.length <= LONG) element.textContent = whole;
  else element.replaceChildren(...pieces(whole).map((piece) => {
    const block = document.createElement("div");
    block.className = "piece";
    block.textContent = piece;
    return block;
  }));
}

/** Cut after a line end where there is one, and never through a character. */
function pieces(text) {
  const found = [];
  for (let at = 0; at < text.length; ) {
    const line = text.lastIndexOf("\n", at + PIECE);
    let end = line >= at ? line + 1 : Math.min(at + PIECE, text.length);
    if (end < text.length && /[\udc00-\udfff\p{M}\u200d]/u.test(text[end])) end++;
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
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
