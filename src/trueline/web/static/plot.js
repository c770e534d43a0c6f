// A chart of lines over training steps, or of points; with a crosshair for mouse, finger and arrow keys.

import { axes, figure, nearest, range, shape } from "./axes.js";
import { t } from "./strings.js";
import { make } from "./text.js";

const DOTTED = 60; // so many points of a line get a dot each where a panel asks for dots
let plots = 0;

/**
 * A panel is {title, note, share, zero, dots, reach, series: [{name, hue, dashed, points: [{x, y, step, round}]}],
 * marks: [{x, text}]}; reach: the first and last x of all charts. A panel with `scatter` has points in any order, and its own crosshair; onCursor(x or null) tells the other charts.
 */
export class Plot {
  #panel = null;
  #width = 0;
  #drawn = null;
  #stops = [];
  #at = -1;

  constructor(id, onCursor) {
    const caption = `plot-${plots++}`;
    this.id = id;
    this.onCursor = onCursor;
    this.element = make("figure", "card plot");
    this.element.dataset.plot = id;
    this.title = make("h3");
    this.note = make("p", "soft note");
    this.legend = make("ul", "legend");
    this.svg = shape("svg", { role: "slider", tabindex: "0", "aria-describedby": caption });
    this.caption = make("figcaption", "soft");
    this.caption.id = caption;
    this.element.append(this.title, this.note, this.legend, this.svg, this.caption);
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerdown", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#go(-1));
    this.svg.addEventListener("blur", () => this.#go(-1));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.svg.clientWidth !== this.#width && this.#layout()).observe(this.svg);
  }

  draw(panel) {
    this.#panel = panel;
    this.title.textContent = panel.title;
    this.note.textContent = panel.note;
    this.svg.setAttribute("aria-label", panel.title);
    this.caption.textContent = summary(panel);
    const points = panel.series.flatMap((s) => s.points);
    this.#stops = panel.scatter ? points : [...new Set(points.map((p) => p.x))].sort((a, b) => a - b);
    this.svg.setAttribute("aria-valuemin", 0);
    this.svg.setAttribute("aria-valuemax", Math.max(0, this.#stops.length - 1));
    this.#at = -1;
    this.#layout();
  }

  /** Put the crosshair at the step nearest to x, or take it away. */
  mark(x) {
    if (this.#panel.scatter || !this.#stops.length) return;
    this.#show(x === null ? -1 : nearest(this.#stops, x));
  }

  #layout() {
    this.#width = this.svg.clientWidth;
    const panel = this.#panel;
    if (!panel || !this.#width) return;
    const points = panel.series.flatMap((s) => s.points);
    const xs = panel.scatter ? range(points.map((p) => p.x)) : panel.reach;
    const ys = range(points.map((p) => p.y), panel);
    this.#drawn = axes(this.svg, this.#width, xs, ys, { share: panel.share, wholeSteps: !panel.scatter });
    for (const mark of panel.marks ?? []) this.#round(mark);
    for (const series of panel.series) this.svg.append(panel.scatter ? this.#cloud(series) : this.#line(series));
    this.cursor = shape("g", { class: "cursor" });
    this.svg.append(this.cursor);
    this.#show(this.#at);
  }

  #round({ x, text }) {
    const { area } = this.#drawn;
    const at = this.#drawn.x(x);
    this.svg.append(shape("line", { x1: at, x2: at, y1: area.top, y2: area.bottom, class: "mark" }));
    this.svg.append(shape("text", { x: at, y: area.top - 6, class: "tick" }, text));
  }

  /** Steps of two rounds are not joined: between them the reward was learned anew. */
  #line({ points, hue, dashed }) {
    const group = shape("g", { class: `hue-${hue}` });
    const place = (p) => `${this.#drawn.x(p.x).toFixed(1)},${this.#drawn.y(p.y).toFixed(1)}`;
    const path = points.map((p, i) => `${i && points[i - 1].round === p.round ? "L" : "M"}${place(p)}`).join("");
    group.append(shape("path", { d: path, class: dashed ? "line dashed" : "line" }));
    const dots = this.#panel.dots && points.length <= DOTTED ? points : points.length === 1 ? points : [];
    for (const p of dots) group.append(this.#dot(p, 3));
    return group;
  }

  /** Later steps are stronger. */
  #cloud({ points, hue }) {
    const group = shape("g", { class: `hue-${hue}` });
    points.forEach((p, i) => {
      const dot = this.#dot(p, 4);
      dot.setAttribute("fill-opacity", (0.15 + (0.75 * (i + 1)) / points.length).toFixed(2));
      group.append(dot);
    });
    return group;
  }

  #dot(p, r) {
    return shape("circle", { cx: this.#drawn.x(p.x).toFixed(1), cy: this.#drawn.y(p.y).toFixed(1), r, class: "dot" });
  }

  /** The crosshair at a stop, -1: none, and the legend tells the last values. */
  #show(at) {
    this.#at = at;
    const { share, series, scatter } = this.#panel;
    const stop = this.#stops[at];
    const x = scatter ? stop?.x : stop;
    const found = series.map((s) => {
      if (scatter) return s.points.includes(stop) ? stop : at < 0 ? s.points.at(-1) : undefined;
      return at < 0 ? s.points.at(-1) : s.points[nearest(s.xs ??= s.points.map((p) => p.x), x)];
    });
    this.legend.replaceChildren(...series.map((s, i) => {
      const entry = make("li", `hue-${s.hue}${s.dashed ? " dashed" : ""}`);
      entry.append(make("i"), make("bdi", "", s.name), make("b", "", found[i] ? figure(found[i].y, share) : "–"));
      return entry;
    }));
    const step = found.find(Boolean)?.step;
    if (at >= 0) this.legend.append(make("li", "soft", where(found.find(Boolean), scatter)));
    const told = series.map((s, i) => found[i] && `${s.name} ${figure(found[i].y, share)}`).filter(Boolean).join(", ");
    this.svg.setAttribute("aria-valuenow", Math.max(0, at < 0 ? this.#stops.length - 1 : at));
    this.svg.setAttribute("aria-valuetext", step === undefined ? "–" : `${where(found.find(Boolean), scatter)}: ${told}`);
    if (!this.#drawn) return;
    this.cursor.replaceChildren();
    if (at < 0) return;
    const { area } = this.#drawn;
    const line = this.#drawn.x(x);
    this.cursor.append(shape("line", { x1: line, x2: line, y1: area.top, y2: area.bottom, class: "hair" }));
    found.forEach((p, i) => {
      if (!p) return;
      const group = shape("g", { class: `hue-${series[i].hue}` });
      group.append(this.#dot(p, 4.5));
      this.cursor.append(group);
    });
  }

  #go(at) {
    if (this.#panel.scatter) this.#show(at);
    else this.onCursor(at < 0 ? null : this.#stops[at]);
  }

  #point(event) {
    if (!this.#drawn || !this.#stops.length) return;
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (this.#panel.scatter) {
      const far = this.#stops.map((p) => Math.hypot(this.#drawn.x(p.x) - x, this.#drawn.y(p.y) - y));
      this.#go(far.indexOf(Math.min(...far)));
    } else {
      this.#go(nearest(this.#stops.map(this.#drawn.x), x));
    }
  }

  #key(event) {
    const last = this.#stops.length - 1;
    const from = this.#at < 0 ? last + (event.key === "ArrowRight" ? 0 : 1) : this.#at;
    const to = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.#go(-1);
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#go(Math.max(0, Math.min(last, to)));
  }
}

function where(p, scatter) {
  const step = t("step {n}", { n: p.step });
  const round = p.round ? `${t("round {n}", { n: p.round })}, ` : "";
  return scatter ? `${round}${step}, √KL ${figure(p.x)}` : round + step;
}

/** From the first value to the last, for those who do not see the lines. */
function summary({ series, share }) {
  return series.filter((s) => s.points.length).map((s) => {
    const [first, last] = [s.points[0].y, s.points.at(-1).y];
    return `${s.name}: ${figure(first, share)} → ${figure(last, share)}`;
  }).join(" · ");
}
