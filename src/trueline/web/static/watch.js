// Runs, watched as they go on: one, or several side by side.

import { request } from "./api.js";
import { figure } from "./axes.js";
import { panels, through } from "./curves.js";
import { alarms, badge, decisions, results } from "./findings.js";
import { follow } from "./follow.js";
import { offer } from "./gallery.js";
import { Plot } from "./plot.js";
import { boot, number, t } from "./strings.js";
import { make } from "./text.js";

const HUES = [0, 2, 3, 1]; // of runs side by side: far apart
const MOST = HUES.length;
const LIST_EVERY = 10_000; // milliseconds
const FIRST_EVERY = 2_000; // while there is no run yet
const STATES = {
  running: ["live", t("live")],
  finished: ["good", t("finished")],
  stopped: ["quiet-badge", t("stopped")],
  waiting: ["quiet-badge", t("not begun")],
  away: ["bad", t("server away")],
};
const byId = (id) => document.getElementById(id);
const plots = new Map();
const watched = new Map(); // by name {run, away, end}
let list = [];
let chosen = []; // names, the main one first
let cursor = null;
let due = 0;
const seen = new Map();

/** Whether something is other than it was: what has not changed is left alone, with its focus and selection. */
function changed(what, value) {
  const now = JSON.stringify(value);
  return seen.get(what) !== now && Boolean(seen.set(what, now));
}

function stop(name) {
  watched.get(name)?.end();
  watched.delete(name);
}

function start(name) {
  const entry = { run: null, away: false, end: () => {} };
  watched.set(name, entry);
  entry.end = follow(name, (event, content) => {
    entry.away = event === "away";
    if (event === "state") entry.run = content;
    else if (entry.run) apply(entry.run, event, content);
    if (complete(entry.run)) entry.end();
    draw();
  });
}

/** Nothing more can come. */
const complete = (run) => run?.state === "finished" && Boolean(run.kind === "loop" ? run.report : run.parts[0]?.report);

function part(run, round) {
  let found = run.parts.find((p) => p.round === round);
  if (!found) {
    found = { round, rows: [], limit: run.parts.at(-1)?.limit ?? null, decision: null, report: null };
    run.parts = [...run.parts, found].sort((a, b) => a.round - b.round);
    run.round = run.parts.length;
  }
  return found;
}

function apply(run, event, content) {
  if (event === "step") {
    const { warnings, ...row } = content.row;
    part(run, content.round).rows.push(row);
    run.warnings.push(...warnings.map((text) => ({ round: content.round, step: row.step, text })));
    run.steps = run.parts.reduce((sum, p) => sum + (p.rows.at(-1)?.step ?? 0), 0);
    run.planned = Math.max(run.planned, run.steps);
  } else if (event === "decision") part(run, content.round).decision = content.decision;
  else if (event === "report" && content.round === 0) run.report = content.report;
  else if (event === "report") part(run, content.round).report = content.report;
  else if (event === "status") Object.assign(run, content);
}

/** At the next frame, however much came until then. */
function draw() {
  due ||= requestAnimationFrame(() => {
    due = 0;
    const main = watched.get(chosen[0]);
    showState(main);
    if (!main?.run) return;
    const found = chosen.map((name, i) => ({ run: watched.get(name)?.run, hue: HUES[i] })).filter(({ run }) => run);
    byId("watched").hidden = false;
    showHead(main.run);
    showFigures(main.run);
    showPlots(found);
    showFindings(main.run, found.map(({ run }) => run));
    offer(main.run);
  });
}

function showState(main) {
  const away = chosen.some((name) => watched.get(name)?.away);
  const state = away ? "away" : main?.run?.state;
  if (byId("state").dataset.state === state) return;
  byId("state").dataset.state = state ?? "";
  byId("state").replaceChildren(...(state ? [badge(...STATES[state])] : []));
}

function showHead(run) {
  byId("run-name").textContent = run.name;
  const kind = run.kind === "loop" ? t("loop") : t("training run");
  const began = new Date(1000 * run.started).toLocaleString(boot.language === "zh" ? "zh-CN" : "en", { dateStyle: "medium", timeStyle: "short" });
  byId("run-about").textContent = [kind, run.algorithm.toUpperCase(), t("begun {when}", { when: began })].filter(Boolean).join(" · ");
  byId("simulated").hidden = !run.simulated;
  const steps = t("step {n} of {total}", { n: number.format(run.steps), total: number.format(run.planned) });
  const rounds = run.kind === "loop" ? `${t("round {n} of {total}", { n: run.round, total: run.rounds })} · ` : "";
  byId("steps").textContent = rounds + steps;
  byId("bar").max = Math.max(1, run.planned);
  byId("bar").value = run.steps;
}

function showFigures(run) {
  const last = through(run).at(-1) ?? {};
  const found = [
    [t("reward"), figure(last.reward)],
    ["KL", figure(last.kl)],
    "bad_share" in last ? [t("bad answers"), figure(last.bad_share, true)] : [t("unsafe answers"), figure(last.unsafe_share, true)],
    [t("length"), figure(last.length)],
    [t("seconds a step"), figure(last.seconds_rollout + last.seconds_update)],
  ].filter(([, text]) => text !== "–");
  byId("figures").replaceChildren(...found.map(([name, text]) => {
    const entry = make("div");
    entry.append(make("dt", "", name), make("dd", "", text));
    return entry;
  }));
}

function showPlots(found) {
  const dimensions = [...new Set(found.flatMap(({ run }) => run.dimensions))];
  offerDimensions(found.length > 1 ? dimensions : []);
  const drawn = panels(found, byId("dimension").value);
  const ids = drawn.map((p) => p.id);
  for (const id of ids) if (!plots.has(id)) plots.set(id, new Plot(id, point));
  if (String(ids) !== byId("plots").dataset.ids) {
    byId("plots").dataset.ids = ids;
    byId("plots").replaceChildren(...ids.map((id) => plots.get(id).element));
  }
  for (const panel of drawn) plots.get(panel.id).draw(panel);
  byId("no-steps").hidden = drawn.length > 0;
  point(cursor);
}

function point(x) {
  cursor = x;
  for (const plot of plots.values()) plot.mark(x);
}

function offerDimensions(dimensions) {
  byId("dimensions").hidden = dimensions.length === 0;
  const select = byId("dimension");
  if (select.dataset.names === String(dimensions)) return;
  select.dataset.names = dimensions;
  select.replaceChildren(new Option(t("whole"), ""), ...dimensions.map((d) => new Option(t(d), d)));
}

function showFindings(main, runs) {
  if (changed("alarms", [main.name, main.warnings])) {
    byId("alarms-card").hidden = main.warnings.length === 0;
    byId("alarms").replaceChildren(...alarms(main.warnings, main.kind === "loop"));
  }
  if (changed("decisions", [main.name, main.parts.map((p) => p.decision)])) {
    const decided = decisions(main);
    byId("decisions-part").hidden = decided.length === 0;
    byId("decisions").replaceChildren(...decided);
  }
  if (!changed("results", runs.map((run) => [run.name, run.parts.map((p) => p.report)]))) return;
  const table = results(runs);
  byId("results-card").hidden = table === null;
  if (!table) return;
  byId("results-head").replaceChildren(table.head);
  byId("results").replaceChildren(...table.rows);
  const judge = runs.flatMap((run) => run.parts).find((p) => p.report).report.judge;
  byId("judged").textContent = t("Judged by {judge}; ranges are 95% intervals.", { judge: t(judge || "–") });
}

/** Show these runs, the first with its decisions and answers. */
function choose(names) {
  for (const name of watched.keys()) if (!names.includes(name)) stop(name);
  chosen = names;
  for (const name of names) if (!watched.has(name)) start(name);
  const query = new URLSearchParams({ run: names[0] });
  for (const name of names.slice(1)) query.append("with", name);
  history.replaceState(null, "", `?${query}`);
  showList();
  draw();
}

function showList() {
  byId("run").replaceChildren(...list.map((r) => new Option(`${r.name} — ${STATES[r.state][1]}`, r.name, false, r.name === chosen[0])));
  const others = list.filter((r) => r.name !== chosen[0]);
  byId("comparing").hidden = others.length === 0;
  const focused = document.activeElement?.dataset?.run;
  byId("others").replaceChildren(...others.map((r) => {
    const label = make("label", "chip");
    const box = make("input");
    Object.assign(box, { type: "checkbox", checked: chosen.includes(r.name), disabled: !chosen.includes(r.name) && chosen.length >= MOST });
    box.dataset.run = r.name;
    box.addEventListener("change", () => choose(box.checked ? [...chosen, r.name] : chosen.filter((name) => name !== r.name)));
    label.append(box, make("bdi", "", r.name));
    if (chosen.includes(r.name)) label.classList.add(`hue-${HUES[chosen.indexOf(r.name)]}`);
    return label;
  }));
  if (focused) byId("others").querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

async function refresh() {
  const { data } = await request("GET", "runs");
  list = data;
  byId("none").hidden = list.length > 0;
  byId("choosing").hidden = list.length === 0;
  if (chosen.length) {
    if (changed("list", list.map((r) => [r.name, r.state]))) showList();
    return;
  }
  const query = new URLSearchParams(location.search);
  const asked = [query.get("run"), ...query.getAll("with")].filter((name) => list.some((r) => r.name === name));
  if (list.length) choose(asked.length ? [...new Set(asked)].slice(0, MOST) : [list[0].name]);
}

async function keep() {
  if (!document.hidden) {
    try {
      await refresh();
      byId("status").textContent = "";
    } catch (error) {
      byId("status").textContent = error.message || t("The server does not answer.");
    }
  }
  setTimeout(keep, list.length ? LIST_EVERY : FIRST_EVERY);
}

byId("run").addEventListener("change", (event) => {
  const name = event.target.value;
  choose([name, ...chosen.slice(1).filter((other) => other !== name)]);
});
byId("dimension").addEventListener("change", draw);
// A browser keeps few connections to a server: a page that nobody sees holds none.
document.addEventListener("visibilitychange", () => {
  for (const name of chosen) {
    if (document.hidden) watched.get(name)?.end();
    else if (!complete(watched.get(name)?.run)) {
      const { run } = watched.get(name);
      stop(name);
      start(name);
      watched.get(name).run = run;
    }
  }
});
keep();
