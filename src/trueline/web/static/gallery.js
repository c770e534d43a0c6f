// Held-out prompts with the answers before and after a round; what is flagged stays blurred until somebody asks for it.

import { request } from "./api.js";
import { figure } from "./axes.js";
import { number, t } from "./strings.js";
import { button } from "./table.js";
import { make } from "./text.js";

const byId = (id) => document.getElementById(id);
const shown = { run: "", round: 0, page: 1, kept: "" };

function failed(error) {
  byId("gallery-status").textContent = error.message || t("The server does not answer.");
}

function text(name, content) {
  const made = make("div", `text ${name}`, content || "–");
  made.dir = "auto";
  return made;
}

function answer(title, content, scores, flagged) {
  const side = make("div", "side");
  const head = make("div", "side-head");
  head.append(make("h4", "", title));
  const figures = Object.entries(scores).map(([name, value]) => `${t(name)} ${figure(value)}`).join(" · ");
  head.append(make("span", "soft scores", figures));
  const body = text("answer", content);
  side.append(head, body);
  if (!flagged) return side;
  side.classList.add("flagged");
  body.inert = true;
  const show = button(t("Flagged as unsafe: show it"), () => {
    side.classList.remove("flagged");
    body.inert = false;
    show.remove();
  });
  side.append(show);
  return side;
}

function card(sample) {
  const made = make("article", "card sample");
  const two = make("div", "sides");
  two.append(
    answer(t("Before"), sample.before, sample.scores_before, sample.flagged_before),
    answer(t("After"), sample.after, sample.scores_after, sample.flagged_after),
  );
  made.append(text("asked", sample.prompt), two);
  return made;
}

async function load() {
  const { run, round, page } = shown;
  const { data } = await request("GET", `runs/${encodeURIComponent(run)}/answers?round=${round}&page=${page}`);
  if (run !== shown.run || round !== shown.round || page !== shown.page) return;
  byId("gallery-status").textContent = t("Page {page} of {pages}, {n} prompts", { page, pages: data.pages, n: number.format(data.total) });
  byId("samples").replaceChildren(...data.rows.map(card));
  byId("earlier").disabled = page <= 1;
  byId("later").disabled = page >= data.pages;
}

function turn(by) {
  shown.page += by;
  load().then(() => byId("gallery-title").scrollIntoView()).catch(failed);
}

/** Offer the rounds of a run that have answers; what is open stays open. */
export function offer(run) {
  const rounds = run.parts.filter((p) => p.report?.answers).map((p) => p.round);
  byId("gallery").hidden = rounds.length === 0;
  const kept = `${run.name} ${rounds}`;
  if (!rounds.length || kept === shown.kept) return;
  const select = byId("gallery-round");
  byId("gallery-rounds").hidden = run.kind !== "loop";
  select.replaceChildren(...rounds.map((n) => new Option(t("Round {n}", { n }), n)));
  const stays = run.name === shown.run && rounds.includes(shown.round);
  Object.assign(shown, { kept, run: run.name }, stays ? {} : { round: rounds.at(-1), page: 1 });
  select.value = shown.round;
  if (!stays) load().catch(failed);
}

byId("gallery-round").addEventListener("change", (event) => {
  Object.assign(shown, { round: Number(event.target.value), page: 1 });
  load().catch(failed);
});
byId("earlier").addEventListener("click", () => turn(-1));
byId("later").addEventListener("click", () => turn(1));
