// Rows and buttons of the pages beside the label page.

import { make } from "./text.js";

/** A row of cells; a cell is a text or an element. */
export function row(cells, tag = "td") {
  const made = document.createElement("tr");
  for (const content of cells) {
    const cell = document.createElement(tag);
    cell.append(content);
    made.append(cell);
  }
  return made;
}

export function button(text, act, name = "plain") {
  const made = make("button", name, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
