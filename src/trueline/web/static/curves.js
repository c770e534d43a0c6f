// From the rows of runs to the panels of charts.

import { t } from "./strings.js";

const DIMENSION_HUES = 1; // hue 0 is the whole reward's

/** All rows of a run with x, the steps numbered through all rounds. */
export function through(run) {
  let before = 0;
  return run.parts.flatMap((part) => {
    const start = before;
    before += part.rows.at(-1)?.step ?? 0;
    return part.rows.map((row) => ({ ...row, x: start + row.step, round: part.round, limit: part.limit }));
  });
}

const mean = (values) => (values.length && values.every(Number.isFinite) ? values.reduce((a, b) => a + b) / values.length : NaN);
const seconds = (row) => row.seconds_rollout + row.seconds_update;

/**
 * Panels of one run, or of several that are compared in a dimension ("": the whole).
 * chosen: [{run, hue}]
 */
export function panels(chosen, dimension) {
  const runs = chosen.map(({ run, hue }) => ({ run, hue, rows: through(run), loop: run.kind === "loop" }));
  const one = runs.length === 1 ? runs[0] : null;
  const dimensions = [...new Set(runs.flatMap(({ run }) => run.dimensions))];
  const checks = [...new Set(runs.flatMap(({ run }) => run.checks))];

  function line({ rows, loop }, of, name, hue, more = {}) {
    const value = typeof of === "string" ? (row) => row[of] : of;
    const points = rows.map((row) => ({ x: row.x, y: value(row), step: row.step, round: loop ? row.round : 0 }));
    return { name, hue, points: points.filter((p) => Number.isFinite(p.y)), ...more };
  }
  /** A line for each run, or of a single run those named. */
  const lines = (each, single) => (one ? single.map(([of, name, hue, more]) => line(one, of, name, hue, more))
    : runs.map((r) => line(r, each, r.run.name, r.hue)));
  const by = (prefix) => dimensions.map((d, i) => [`${prefix}_${d}`, t(d), DIMENSION_HUES + i]);
  const chosenKey = (prefix) => (dimension ? `${prefix}_${dimension}` : prefix);
  const truth = dimension ? `true_${dimension}` : (row) => mean(dimensions.map((d) => row[`true_${d}`]));
  const limits = runs.map((r) => line(r, (row) => row.limit ?? NaN, one ? t("limit") : `${r.run.name}: ${t("limit")}`, one ? 7 : r.hue, { dashed: true }));
  const held = runs.some((r) => r.rows.some((row) => Number.isFinite(row.bad_share)));
  const bad = [
    ...lines(held ? "bad_share" : "unsafe_share", [["bad_share", t("bad answers"), 0], ["unsafe_share", t("unsafe by the known truth"), 2]]),
    ...(held ? limits : []),
  ];
  const marks = one?.loop ? one.run.parts.filter((p) => p.rows.length).map((p) => ({
    x: one.rows.find((row) => row.round === p.round).x, text: t("round {n}", { n: p.round }),
  })) : [];

  const found = [
    { id: "reward", title: t("Learned reward"), note: t("What training raises; in standard deviations of the answers it was learned from."),
      series: lines(chosenKey("reward"), [["reward", t("whole"), 0], ...by("reward")]) },
    { id: "checked", title: t("Checked by rule"), note: t("Parts of the reward that are not learned; 0 to 1, the mean of a step's answers."),
      series: lines((row) => mean(checks.map((c) => row[`check_${c}`])), checks.map((c, i) => [`check_${c}`, t(c), i])) },
    { id: "truth", title: t("Known truth"), note: t("Training never sees it: where the reward rises and this does not, the reward is being tricked."),
      series: lines(truth, by("true")) },
    { id: "judge", title: t("Held-out judge"), note: t("A judge that training never sees, on prompts it never sees."),
      dots: true, series: lines(chosenKey("judge"), [["judge", t("whole"), 0], ...by("judge")]) },
    { id: "kl", title: t("KL to the reference"), note: t("How far the policy moved; nats an answer."), series: lines("kl", [["kl", "KL", 0]]) },
    { id: "bad", title: t("Bad answers"), note: t("The share of a step's answers; a constraint holds it under its limit."), share: true, zero: true, series: bad },
    { id: "multiplier", title: t("Price of a bad answer"), note: t("The constraint's multiplier, in reward."), zero: true, series: lines("multiplier", [["multiplier", t("multiplier"), 0]]) },
    { id: "length", title: t("Length"), note: t("Tokens an answer."), series: lines("length", [["length", t("length"), 0]]) },
    { id: "entropy", title: t("Entropy"), note: t("How much answers vary; nats a token."), zero: true, series: lines("entropy", [["entropy", t("entropy"), 0]]) },
    { id: "seconds", title: t("Seconds a step"), note: t("Sampling and judging, then learning."), zero: true,
      series: lines(seconds, [["seconds_rollout", t("rollout"), 0], ["seconds_update", t("update"), 2]]) },
    { id: "frontier", title: t("Reward against KL"), note: t("What the reward cost in distance: each point a step, later ones stronger. Across: √KL."), scatter: true,
      series: runs.map((r) => ({
        name: one ? t("reward") : r.run.name, hue: r.hue,
        points: r.rows.filter((row) => Number.isFinite(row.kl) && Number.isFinite(row.reward)).map((row) => ({
          x: Math.sqrt(Math.max(0, row.kl)), y: row.reward, step: row.step, round: r.loop ? row.round : 0,
        })),
      })) },
  ];
  const xs = runs.flatMap(({ rows }) => rows.map((row) => row.x));
  const reach = [xs.reduce((a, b) => Math.min(a, b), Infinity), xs.reduce((a, b) => Math.max(a, b), 0)];
  if (reach[0] >= reach[1]) reach[1] = reach[0] + 1;
  return found.map((panel) => ({ ...panel, reach, marks: panel.scatter ? [] : marks, series: panel.series.filter((s) => s.points.length) }))
    .filter((panel) => panel.series.length);
}
