// Agreement with intervals, and a row for each person.

import { request } from "./api.js";
import { number, t } from "./strings.js";
import { row } from "./table.js";
import { make } from "./text.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const status = document.getElementById("status");

function shape(name, values) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  return made;
}

/** A line from -1 to 1 with the interval on it. */
function bar(found) {
  const svg = shape("svg", { viewBox: "0 0 200 18", preserveAspectRatio: "none", role: "img" });
  const at = (x) => 100 + 100 * Math.max(-1, Math.min(1, x));
  svg.append(shape("line", { x1: 0, x2: 200, y1: 9, y2: 9, class: "axis" }));
  svg.append(shape("line", { x1: 100, x2: 100, y1: 2, y2: 16, class: "axis" }));
  if (found) {
    svg.append(shape("line", { x1: at(found.low), x2: at(found.high), y1: 9, y2: 9, class: "range" }));
    svg.append(shape("line", { x1: at(found.value), x2: at(found.value), y1: 9, y2: 9, class: "point" }));
  }
  return svg;
}

function figure(found, digits = 2) {
  return found ? `${found.value.toFixed(digits)} [${found.low.toFixed(digits)}, ${found.high.toFixed(digits)}]` : "–";
}

const share = (found) => (found ? `${Math.round(100 * found.value)}% (${number.format(found.n)})` : "–");

function drifting(drift) {
  const moved = Object.entries(drift).filter(([, d]) => d && (d.low > 0 || d.high < 0));
  return moved.map(([name, d]) => `${t(name)} ${d.value > 0 ? "+" : ""}${d.value.toFixed(2)}`).join(", ") || "–";
}

function matrix(pairs) {
  const names = [...new Set(pairs.flatMap((p) => [p.first, p.second]))].sort();
  const found = new Map(pairs.flatMap((p) => [[`${p.first}\0${p.second}`, p], [`${p.second}\0${p.first}`, p]]));
  document.getElementById("pairs-card").hidden = names.length === 0;
  document.getElementById("matrix-head").replaceChildren(row(["", ...names], "th"));
  document.getElementById("matrix").replaceChildren(
    ...names.map((a) => row([
      make("bdi", "", a),
      ...names.map((b) => {
        const p = found.get(`${a}\0${b}`);
        return p ? `${p.quadratic === null ? "–" : p.quadratic.toFixed(2)} (${p.n})` : "";
      }),
    ])),
  );
}

function fill(data) {
  const alphas = Object.entries(data.agreement.alpha).flatMap(([name, found]) => [
    make("span", "", t(name)), bar(found), make("span", "", figure(found)),
  ]);
  document.getElementById("alphas").replaceChildren(...alphas);
  document.getElementById("signs").textContent = [
    `${t("Same side, ties counted")}: ${figure(data.agreement.same_sign_with_ties)}`,
    `${t("without ties")}: ${figure(data.agreement.same_sign_without_ties)}`,
    `${t("Left answer won")}: ${figure(data.left_wins)}`,
  ].join(" · ");
  document.getElementById("people").replaceChildren(
    ...data.people.map((p) => row([
      make("bdi", "", p.name), number.format(p.judgements), p.weight === null ? "–" : p.weight.toFixed(2),
      share(p.gold), share(p.same_again),
      p.seconds === null ? "–" : `${p.seconds.toFixed(0)}${p.hasty ? ` (${number.format(p.hasty)} ${t("hasty")})` : ""}`,
      drifting(p.drift),
    ])),
  );
  matrix(data.pairs);
}

request("GET", "quality").then(({ data }) => {
  status.textContent = data.judgements
    ? t("{n} judgements of {items} items", { n: number.format(data.judgements), items: number.format(data.items) })
    : t("Nothing is judged yet.");
  document.getElementById("figures").hidden = !data.judgements;
  if (data.judgements) fill(data);
}).catch((error) => { status.textContent = error.message || t("The server does not answer."); });
