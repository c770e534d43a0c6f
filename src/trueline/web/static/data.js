// What is in the store; a file is looked into before it is imported.

import { request } from "./api.js";
import { number, t } from "./strings.js";
import { row } from "./table.js";
import { make } from "./text.js";

const status = document.getElementById("status");
let upload = null;

function failed(error) {
  status.textContent = error.message || t("The server does not answer.");
}

async function counts() {
  const { data } = await request("GET", "counts");
  document.getElementById("counts").replaceChildren(
    ...Object.entries({ ...data.store, judged: data.queue.judged, open: data.queue.open }).map(([name, n]) => {
      const entry = document.createElement("div");
      entry.append(make("dt", "", t(name.replace("_events", "s"))), make("dd", "", number.format(n)));
      return entry;
    }),
  );
}

function labels(r) {
  const ratings = r.ratings.map((x) => `${t(x.dimension)} ${x.value ?? "–"}`);
  const comparisons = r.comparisons.map((x) => `${t(x.dimension)} ${x.preference > 0 ? "+" : ""}${x.preference}`);
  return [...ratings, ...comparisons].join(", ");
}

function show(data) {
  upload = data.upload;
  document.getElementById("format").value = data.format;
  document.getElementById("found").hidden = false;
  document.getElementById("found-line").textContent = t("The first rows, read as {format}:", { format: data.format });
  document.getElementById("sample").replaceChildren(
    ...data.rows.map((r) => row(
      [String(r.row), r.messages.at(-1).content, r.answers.map((a) => a.text).join("\n— "), labels(r)].map((x) => make("div", "text", x)),
    )),
  );
  document.getElementById("errors").replaceChildren(
    ...data.errors.map((e) => make("li", "", `${t(e.unit)} ${e.row}: ${e.why}`)),
  );
}

async function watch() {
  const { data } = await request("GET", `imports/${upload}`);
  if (data.state === "running") {
    status.textContent = t("{n} rows read…", { n: number.format(data.rows) });
    setTimeout(() => watch().catch(failed), 500);
  } else if (data.state === "failed") {
    status.textContent = data.error;
  } else {
    const added = Object.entries(data.added).map(([name, n]) => `${number.format(n)} ${t(name)}`).join(", ");
    status.textContent = t("Imported: {added}", { added });
    document.getElementById("errors").replaceChildren(...data.errors.map((e) => make("li", "", e)));
    await counts();
  }
}

document.getElementById("preview")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  status.textContent = "";
  const body = new FormData();
  body.append("file", document.getElementById("file").files[0]);
  body.append("format", document.getElementById("format").value);
  try {
    show((await request("POST", "imports", body)).data);
  } catch (error) {
    failed(error);
  }
});
document.getElementById("import")?.addEventListener("click", () => {
  request("POST", `imports/${upload}`, { format: document.getElementById("format").value }).then(watch).catch(failed);
});
document.getElementById("queue")?.addEventListener("click", async () => {
  try {
    const { data } = await request("POST", "queue");
    status.textContent = t("{n} new items are in the queue", { n: number.format(data.added) });
    await counts();
  } catch (error) {
    failed(error);
  }
});
counts().catch(failed);
