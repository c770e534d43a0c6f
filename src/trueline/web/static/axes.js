// What charts share: SVG shapes, scales, ticks and how numbers are written.

import { boot } from "./strings.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const LANGUAGE = boot.language === "zh" ? "zh-CN" : "en";
const MARGIN = { top: 18, right: 14, bottom: 24, left: 46 };
const HEIGHT = 210;
const SPACE = { across: 58, down: 40 }; // pixels, at least, from tick to tick

export function shape(name, values = {}, text) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const fixed = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const tiny = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 2 });
const percent = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 1 });

/** A figure for people: about three digits, a share in percent, "–" for none. */
export function figure(value, share = false) {
  if (!Number.isFinite(value)) return "–";
  if (share) return percent.format(value);
  const size = Math.abs(value);
  const format = size > 0 && size < 0.01 ? tiny : fixed[[100, 10, 1].filter((limit) => size < limit).length];
  return format.format(value).replace("-", "−");
}

/** Round numbers within the range, about so many. */
export function ticks([low, high], about) {
  const rough = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step || 0);
  return { found, step };
}

/** The range of the values with some air; a range that is a single number gets a width. */
export function range(values, { zero = false } = {}) {
  let low = zero ? 0 : Infinity;
  let high = zero ? 0 : -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!(low <= high)) return [0, 1];
  const air = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.1 || 0.5;
  return [zero && low === 0 ? 0 : low - air, high + air];
}

/** Draw grid and axes into an emptied svg of this width; returns from numbers to pixels and the area of the data. */
export function axes(svg, width, xs, ys, { share = false, wholeSteps = true } = {}) {
  const area = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
  const x = (value) => area.left + ((value - xs[0]) / (xs[1] - xs[0])) * (area.right - area.left);
  const y = (value) => area.bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (area.bottom - area.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren();
  const across = ticks(xs, (area.right - area.left) / SPACE.across);
  const down = ticks(ys, (area.bottom - area.top) / SPACE.down);
  for (const value of down.found) {
    svg.append(shape("line", { x1: area.left, x2: area.right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(shape("text", { x: area.left - 8, y: y(value) + 4, class: "tick end" }, written(value, down.step, share)));
  }
  for (const value of across.found) {
    if (wholeSteps && !Number.isInteger(value)) continue;
    svg.append(shape("line", { x1: x(value), x2: x(value), y1: area.bottom, y2: area.bottom + 4, class: "axis" }));
    svg.append(shape("text", { x: x(value), y: area.bottom + 18, class: "tick middle" }, written(value, across.step)));
  }
  svg.append(shape("line", { x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom, class: "axis" }));
  return { x, y, area };
}

function written(value, step, share = false) {
  const digits = Math.max(0, -Math.floor(Math.log10(step * (share ? 100 : 1)) + 1e-9));
  const style = share ? { style: "percent" } : Math.abs(value) >= 100_000 ? { notation: "compact" } : {};
  const digitsOf = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(LANGUAGE, { ...style, ...(style.notation ? {} : digitsOf) }).format(value).replace("-", "−");
}

/** The index of the number nearest to a value, in ascending numbers. */
export function nearest(sorted, value) {
  let low = 0;
  let high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle;
  }
  return Math.abs(sorted[low] - value) <= Math.abs(sorted[high] - value) ? low : high;
}
