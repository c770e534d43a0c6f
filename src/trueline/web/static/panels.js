// What opens over the page: reasons, help, guidelines, and what the server did not take.

import { request } from "./api.js";
import { PREFERENCES } from "./form.js";
import { composing } from "./keys.js";
import { boot, t } from "./strings.js";
import { make, put } from "./text.js";

const byId = (id) => document.getElementById(id);

function backTo(element) {
  if (element?.isConnected && element !== document.body) element.focus({ preventScroll: true });
  else document.activeElement?.blur();
}

/** Open a dialog; resolves to the value of the button that closed it, "" where it was dismissed. */
export function open(dialog) {
  if (dialog.open || document.querySelector("dialog:modal")) return Promise.resolve(null);
  const before = document.activeElement;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        backTo(before);
        resolve(dialog.returnValue);
      },
      { once: true },
    );
  });
}

/** Ask for a reason; resolves to it, or to null. Digits choose, Enter sends. */
export async function askReason(id) {
  const dialog = byId(id);
  const choices = [...dialog.querySelectorAll('input[type="radio"]')];
  if (choices[0]) choices[0].checked = true;
  const answer = open(dialog);
  choices[0]?.focus();
  if ((await answer) !== "send") return null;
  return choices.find((choice) => choice.checked)?.value ?? "";
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close("");
  });
  dialog.addEventListener("keydown", (event) => {
    if (composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = /^[1-9]$/.test(event.key) && dialog.querySelectorAll('input[type="radio"]')[Number(event.key) - 1];
    if (!choice) {
      if (event.key === "?" && dialog.id === "help-dialog") dialog.close("");
      return;
    }
    choice.checked = true;
    choice.focus();
    event.preventDefault();
  });
}

/** The guidelines beside the task; the page stays usable. */
export class Guidelines {
  constructor(seen) {
    this.drawer = byId("guidelines-drawer");
    this.button = byId("guidelines");
    this.version = boot.guidelines_version;
    this.seen = seen;
    this.button.addEventListener("click", () => this.toggle());
    byId("guidelines-close").addEventListener("click", () => this.close());
    this.drawer.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || composing(event)) return;
      this.close();
      event.preventDefault();
    });
  }

  get isOpen() {
    return !this.drawer.hidden;
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.#open();
  }

  close() {
    if (!this.isOpen) return;
    const inside = this.drawer.contains(document.activeElement);
    this.drawer.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (inside) backTo(this.before);
  }

  async #open() {
    this.before = document.activeElement;
    this.drawer.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    byId("guidelines-title").focus({ preventScroll: true });
    const text = byId("guidelines-text");
    if (!text.firstChild) text.replaceChildren(make("p", "soft", t("Loading…")));
    try {
      const { data } = await request("GET", `guidelines?language=${encodeURIComponent(boot.language)}`);
      if (data.version === this.shown) return;
      text.innerHTML = data.html; // the server's own rendering, in which HTML is shown as text
      byId("guidelines-version").textContent = data.version;
      this.shown = data.version;
      if (data.version !== this.version) text.prepend(make("p", "changed", t("These guidelines changed since you opened the page.")));
      this.version = data.version;
      this.seen(data.version);
    } catch (failure) {
      if (!this.shown) text.replaceChildren(make("p", "soft", failure.message || t("The server cannot be reached")));
    }
  }
}

/** Both versions of something that the server did not take; resolves to "keep", "later" or "reopen". */
export async function showConflict(entry) {
  const { refused } = entry;
  put(byId("conflict-text"), refused.message ?? "");
  byId("conflict-title").textContent = refused.stored
    ? t("This task has another answer on the server")
    : t("The server did not take your answer");
  byId("conflict-keep").textContent = refused.stored ? t("Keep the stored one") : t("Drop mine");
  byId("conflict-stored-side").hidden = !refused.stored;
  byId("conflict-reopen").hidden = refused.status !== 422 || entry.kind !== "judgement";
  const [stored, sent] = [rowsOf(refused.stored), rowsOf(refused.sent ?? entry.body)];
  describe(byId("conflict-stored"), stored, sent);
  describe(byId("conflict-sent"), sent, refused.stored ? stored : sent);
  return (await open(byId("conflict-dialog"))) || "later";
}

/** What was said, from names to texts. */
function rowsOf(said) {
  const rows = new Map();
  const add = (name, value) => value && rows.set(name, value);
  if (said) {
    add(t("Preference"), PREFERENCES.has(said.preference) ? t(PREFERENCES.get(said.preference)) : "");
    add(t("Both bad"), said.both_bad ? t("Yes") : "");
    (said.marks ?? []).forEach((marks, i) => {
      const values = Object.entries(marks ?? {}).map(([name, value]) => `${t(name)} ${value ?? t("N/A")}`);
      add(t("Answer {letter}", { letter: "AB"[i] }), values.join(", "));
    });
    add(t("Reasons"), (said.reasons ?? []).map((reason) => t(reason)).join(", "));
    add(t("Reason"), said.reason ? t(said.reason) : "");
    add(t("Rationale"), said.rationale);
  }
  return rows;
}

/** The rows as a list, those that the other version has differently marked. */
function describe(list, rows, others) {
  list.replaceChildren(
    ...[...rows].map(([name, value]) => {
      const row = make("div", others.get(name) === value ? "" : "differs");
      const text = make("dd", "", value);
      text.dir = "auto";
      row.append(make("dt", "", name), text);
      return row;
    }),
  );
}
