// Word differences of two texts: the longest common subsequence of their tokens. Chinese goes by character.

import { printable } from "./text.js";

const TOKEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{M}\p{N}_'’]+|\s+|[^]/gu;
const MOST_CELLS = 6_000_000;
const MOST_CHARACTERS = 200_000;

/** {a, b, whole}: each side as [{text, same}]; {whole: false} where it is too much to compare. */
export function compare(left, right) {
  const [x, y] = [printable(left), printable(right)];
  if (x.length > MOST_CHARACTERS || y.length > MOST_CHARACTERS) return { whole: false };
  const [a, b] = [x.match(TOKEN) ?? [], y.match(TOKEN) ?? []];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if ((middle[0].length + 1) * (middle[1].length + 1) > MOST_CELLS) return { whole: false };
  const [sameA, sameB] = common(...middle);
  const flags = (tokens, same) => tokens.map((_, i) => i < head || i >= tokens.length - tail || same[i - head] === 1);
  const steps = tidy(align(a, b, flags(a, sameA), flags(b, sameB)));
  return { a: parts(steps, "a"), b: parts(steps, "b"), whole: true };
}

/** Steps {same, a, b} in turn: what both have, and what each has instead. */
function align(a, b, sameA, sameB) {
  const steps = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const change = { same: false, a: "", b: "" };
    while (i < a.length && !sameA[i]) change.a += a[i++];
    while (j < b.length && !sameB[j]) change.b += b[j++];
    if (change.a || change.b) steps.push(change);
    const both = { same: true, a: "", b: "" };
    while (i < a.length && j < b.length && sameA[i] && sameB[j]) {
      both.a += a[i++];
      both.b += b[j++];
    }
    if (both.a) steps.push(both);
  }
  return steps;
}

/** A scrap in common between two larger changes belongs to them: fewer marks, easier to read. */
function tidy(steps) {
  const size = (step) => Math.max(step.a.length, step.b.length);
  const found = [];
  steps.forEach((step, i) => {
    const [before, after] = [steps[i - 1], steps[i + 1]];
    const letters = step.a.replace(/[^\p{L}\p{N}]/gu, "").length;
    const scrap = step.same && before && after && letters <= 2 && !step.a.includes("\n") && letters < Math.min(size(before), size(after));
    const same = step.same && !scrap;
    const last = found.at(-1);
    if (last && last.same === same) Object.assign(last, { a: last.a + step.a, b: last.b + step.b });
    else found.push({ ...step, same });
  });
  return found;
}

function parts(steps, side) {
  return steps.filter((step) => step[side]).map((step) => ({ text: step[side], same: step.same }));
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
