// Disagreements and flags: judge first, then see what the others said.

import { request } from "./api.js";
import { number, t } from "./strings.js";
import { button, row } from "./table.js";
import { make } from "./text.js";

const status = document.getElementById("status");
const dialog = document.getElementById("said");
let open = "";

async function judge(item) {
  await request("POST", `review/${item}`);
  location.assign("/?back=review"); // the label page shows the task that one holds
}

function marks(said) {
  return said.marks.map((m) => Object.entries(m).map(([d, v]) => `${t(d)} ${v ?? "–"}`).join(", ")).join(" · ");
}

async function show(item) {
  const { data } = await request("GET", `review/${item}`);
  open = item;
  document.getElementById("said-head").replaceChildren(row([t("Name"), t("Preference"), t("Marks"), t("Why")], "th"));
  document.getElementById("said-rows").replaceChildren(
    ...data.map((s) => row([
      make("bdi", "", s.annotator),
      s.both_bad ? `${s.preference ?? ""} ${t("both bad")}` : String(s.preference ?? ""),
      marks(s),
      make("span", "text", [...s.reasons.map((r) => t(r)), s.rationale].filter(Boolean).join("; ")),
    ])),
  );
  dialog.showModal();
}

document.getElementById("gold").addEventListener("click", async () => {
  await request("POST", `review/${open}/gold`);
  dialog.close();
  await load();
});

async function load() {
  const { data } = await request("GET", "review");
  document.getElementById("list").hidden = data.length === 0;
  status.textContent = data.length ? "" : t("Nobody disagrees, and nothing is flagged.");
  document.getElementById("rows").replaceChildren(
    ...data.map((d) => {
      const acts = make("div", "row");
      acts.append(d.mine ? button(t("See what was said"), () => show(d.id)) : button(t("Judge it"), () => judge(d.id), "main"));
      if (d.gold) acts.append(make("span", "soft", t("gold")));
      return row([
        make("div", "text", d.request), number.format(d.judged), d.disagreement ? d.disagreement.toFixed(2) : "–",
        make("span", "text", d.flags.map((f) => t(f)).join("; ")), acts,
      ]);
    }),
  );
}

load().catch((error) => { status.textContent = error.message || t("The server does not answer."); });
