// What was noticed, decided and measured in a run: alarms, decisions, results.

import { figure } from "./axes.js";
import { t } from "./strings.js";
import { row } from "./table.js";
import { make } from "./text.js";

const MOST_ALARMS = 50;
const SHARES = [
  "unsafe_share", "consistent_share", "refused_share", "win_rate", "win_rate_length_controlled", "finished_share", "repetition",
];
const NAMES = {
  unsafe_share: t("Unsafe answers"),
  consistent_share: t("Answers consistent with the request"),
  refused_share: t("Requests refused without need"),
  win_rate: t("Win rate against before"),
  win_rate_length_controlled: t("Win rate against before, at equal lengths"),
  kl: t("KL to the policy before, nats per answer"),
  kl_per_token: t("KL to the policy before, nats per token"),
  kl_reference: t("KL to the training reference, nats per answer"),
  length: t("Length, tokens"),
  finished_share: t("Answers that come to an end"),
  repetition: t("Repeated runs of four words within an answer"),
  distinct_2: t("Distinct word pairs"),
  self_bleu: t("Likeness of the answers to one another (self-BLEU)"),
  perplexity: t("Perplexity of held-out text"),
};

export const badge = (kind, text) => make("span", `badge ${kind}`, text);

/** Warnings that say the same in steps that follow each other become one; the newest come first. */
export function alarms(warnings, loop) {
  const found = [];
  const open = new Map();
  for (const { round, step, text } of warnings) {
    const kind = `${round} ${text.replace(/[\d.,−-]+/g, "#")}`;
    const last = open.get(kind);
    if (last && step - last.until <= 1) Object.assign(last, { until: step, text });
    else {
      open.set(kind, { round, from: step, until: step, text });
      found.push(open.get(kind));
    }
  }
  return found.sort((a, b) => b.round - a.round || b.until - a.until).slice(0, MOST_ALARMS).map((a) => {
    const entry = make("li");
    const steps = a.from === a.until ? t("step {n}", { n: a.from }) : t("steps {from} to {until}", a);
    entry.append(make("b", "", loop ? `${t("round {n}", { n: a.round })}, ${steps}` : steps), make("span", "text", a.text));
    return entry;
  });
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value ?? null));

function sure(good, ...content) {
  const entry = make("li", good ? "good" : "bad");
  entry.append(make("span", "sign", good ? "✓" : "✗"), make("span", "hidden", good ? t("yes") : t("no")), ...content);
  return entry;
}

function titled(title, entries) {
  if (!entries.length) return [];
  const list = make("ul", "plain-list");
  list.append(...entries);
  return [make("h4", "", title), list];
}

function change({ setting, before, after, rule, evidence, expects }) {
  const entry = make("li", "change");
  const line = make("p", "setting");
  line.append(make("code", "", setting), ": ", make("s", "", shown(before)), " → ", make("b", "", shown(after)));
  entry.append(line, make("p", "", evidence));
  const why = make("dl", "why");
  why.append(make("dt", "", t("Rule")), make("dd", "", rule), make("dt", "", t("Expects")), make("dd", "", expects));
  entry.append(why);
  return entry;
}

/** A card for each round that something was decided after, the newest first. */
export function decisions(run) {
  return run.parts.filter((p) => p.decision).reverse().map(({ round, decision }) => {
    const card = make("article", "card decision");
    const head = make("header", "row");
    head.append(make("h3", "", t("Round {n}", { n: round })),
      decision.promoted ? badge("good", t("Promoted")) : badge("bad", t("Refused")));
    card.append(head);
    card.append(...titled(t("Gates"), decision.gates.map((g) => sure(g.passed, make("b", "", g.name), make("span", "", g.text)))));
    card.append(...titled(t("Did the last changes do what was expected?"),
      decision.checks.map((c) => sure(c.held, make("b", "", c.rule), make("span", "", `${c.expected} — ${typeof c.found === "number" ? Number(c.found.toPrecision(3)) : "–"}`)))));
    card.append(...titled(t("Changes for the next round"), decision.changes.map(change)));
    if (decision.stop) card.append(make("p", "stop", `${t("The loop ends here:")} ${decision.stop}`));
    return card;
  });
}

function cell(name, interval) {
  const made = make("span", "", figure(interval?.value, SHARES.includes(name)));
  if (interval && Number.isFinite(interval.low) && interval.high > interval.low) {
    made.append(make("small", "soft", ` ${figure(interval.low, SHARES.includes(name))} – ${figure(interval.high, SHARES.includes(name))}`));
  }
  return made;
}

/** Of one run before and after each round; of several what each has become. Returns {head, rows} or null. */
export function results(runs) {
  const reported = runs.map((run) => [run, run.parts.filter((p) => p.report)]).filter(([, parts]) => parts.length);
  if (!reported.length) return null;
  const columns = [{ name: t("before"), metrics: reported[0][1][0].report.metrics, side: "before" }];
  for (const [run, parts] of reported) {
    for (const { round, report } of runs.length > 1 ? parts.slice(-1) : parts) {
      const name = runs.length > 1 ? run.name : run.kind === "loop" ? t("round {n}", { n: round }) : t("after");
      columns.push({ name, metrics: report.metrics, side: "after" });
    }
  }
  const names = [...new Set(columns.flatMap((c) => Object.keys(c.metrics)))];
  return {
    head: row(["", ...columns.map((c) => make("bdi", "", c.name))], "th"),
    rows: names.map((name) => row([NAMES[name] ?? t(name), ...columns.map((c) => cell(name, c.metrics[name]?.[c.side]))])),
  };
}
