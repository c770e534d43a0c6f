// The keyboard: which key does what, and when a key is not for us.

const TAKEN = new Set([..."xfugdbren?0123456789"]);

/** For each dimension its key: its first letter that is free, else any that is. */
export function keysOf(dimensions) {
  const found = new Map();
  const used = new Set(TAKEN);
  for (const name of dimensions) {
    const letters = [...name.toLowerCase(), ..."abcdefghijklmnopqrstuvwxyz"].filter((c) => /[a-z]/.test(c));
    const key = letters.find((c) => !used.has(c)) ?? "";
    used.add(key);
    found.set(name, key);
  }
  return found;
}

export function isTextField(element) {
  if (!element) return false;
  if (element.isContentEditable || element.tagName === "TEXTAREA" || element.tagName === "SELECT") return true;
  return element.tagName === "INPUT" && !["radio", "checkbox", "button", "submit"].includes(element.type);
}

export function composing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** The key as a letter or digit of a Latin keyboard, whatever the layout or the Shift Lock. */
export function plainKey(event) {
  if (/^[\x20-\x7e]$/.test(event.key)) {
    if (!event.shiftKey && /^Digit\d$/.test(event.code) && !/[0-9a-z?]/i.test(event.key)) return event.code.slice(5);
    return event.key.toLowerCase();
  }
  if (event.key.length > 1) return event.key;
  if (event.key === "？") return "?";
  const code = /^(?:Key([A-Z])|Digit(\d))$/.exec(event.code);
  return code ? (code[1] ?? code[2]).toLowerCase() : event.key;
}

/** Call act(key, event) for keys that are meant for the page; it returns true where it used the key. */
export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || composing(event)) return;
    if (document.querySelector("dialog:modal")) return; // it has keys of its own
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.repeat && event.key !== "Tab") return;
    if (isTextField(event.target)) return;
    if (act(plainKey(event), event)) event.preventDefault();
  });
}
