// Word differences of two texts: the longest common subsequence of their tokens. Chinese goes by character.

import { printable } from "./text.js";

const TOKEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{M}\p{N}_'’]+|\s+|[^]/gu;
const MOST_CELLS = 6_000_000;
const MOST_CHARACTERS = 200_000;

/** {a, b, whole}: each side as [{text, same}], neighbours merged; whole is false where it was too long to compare. */
export function compare(left, right) {
  const [x, y] = [printable(left), printable(right)];
  if (x.length > MOST_CHARACTERS || y.length > MOST_CHARACTERS) return { a: one(x), b: one(y), whole: false };
  const [a, b] = [x.match(TOKEN) ?? [], y.match(TOKEN) ?? []];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if ((middle[0].length + 1) * (middle[1].length + 1) > MOST_CELLS) return { a: one(x), b: one(y), whole: false };
  const [sameA, sameB] = common(...middle);
  const flags = (tokens, same) => tokens.map((_, i) => i < head || i >= tokens.length - tail || same[i - head] === 1);
  return { a: runs(a, flags(a, sameA)), b: runs(b, flags(b, sameB)), whole: true };
}

/** For each token of a and of b, 1 where it belongs to their longest common subsequence. */
function common(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      table[at] = a[i] === b[j] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  const [sameA, sameB] = [new Uint8Array(a.length), new Uint8Array(b.length)];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) sameA[i++] = sameB[j++] = 1;
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
    else j++;
  }
  return [sameA, sameB];
}

function runs(tokens, same) {
  const found = [];
  tokens.forEach((text, i) => {
    const last = found.at(-1);
    // A space between two changes belongs to them: one mark, not many.
    const alike = same[i] && /^\s+$/.test(text) && i > 0 && !same[i - 1] && i + 1 < tokens.length && !same[i + 1] ? false : same[i];
    if (last && last.same === alike) last.text += text;
    else found.push({ text, same: alike });
  });
  return found;
}

function one(text) {
  return text ? [{ text, same: true }] : [];
}

/** Put one side into an element, changes in <del> or <ins>. */
export function show(element, parts, tag) {
  element.replaceChildren(
    ...parts.map(({ text, same }) => {
      if (same) return document.createTextNode(text);
      const mark = document.createElement(tag);
      mark.textContent = text;
      return mark;
    }),
  );
}
