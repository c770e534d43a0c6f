// What a person says of a task: read from the controls, written to them, checked before it is sent.

import { keysOf } from "./keys.js";
import { boot, t } from "./strings.js";
import { storable } from "./text.js";

const SIDES = ["left", "right"];
export const PREFERENCES = new Map([
  [-3, "A much better"],
  [-2, "A better"],
  [-1, "A slightly better"],
  [0, "About the same"],
  [1, "B slightly better"],
  [2, "B better"],
  [3, "B much better"],
]);

const byTouch = () => matchMedia("(pointer: coarse), (max-width: 760px)").matches;

export class Form {
  /** changed(): something was said. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.keys = keysOf(boot.dimensions);
    this.bothBad = root.querySelector("#both-bad");
    this.rationale = root.querySelector("#rationale");
    this.chosen = root.querySelector("#chosen");
    this.last = null; // the rating given last, for taking it away
    this.pair = true;
    for (const group of root.querySelectorAll(".mark")) group.querySelector("kbd").textContent = this.keys.get(group.dataset.dimension);
    root.addEventListener("change", (event) => {
      if (event.target.closest(".mark")) this.last = event.target;
      this.#refresh(event.target);
      changed();
    });
    root.addEventListener("input", (event) => event.target === this.rationale && changed());
  }

  /** Which marks are asked for: all of one answer, of two where the project rates them. */
  get rated() {
    return boot.ratings || !this.pair;
  }

  get sides() {
    return this.pair ? SIDES : SIDES.slice(0, 1);
  }

  start(pair, said) {
    this.pair = pair;
    this.root.dataset.kind = pair ? "pair" : "single";
    this.root.dataset.rated = this.rated;
    this.last = null;
    for (const input of this.root.querySelectorAll("input")) input.checked = false;
    this.rationale.value = "";
    this.clearError();
    if (said) this.#restore(said);
    this.#refresh();
  }

  #restore(said) {
    if (PREFERENCES.has(said.preference)) this.input(`preference`, said.preference).checked = true;
    this.bothBad.checked = said.both_bad === true;
    (Array.isArray(said.marks) ? said.marks : []).forEach((marks, i) => {
      for (const [name, value] of Object.entries(marks ?? {})) {
        const input = SIDES[i] && this.mark(SIDES[i], name, value);
        if (input) input.checked = true;
      }
    });
    for (const chip of this.root.querySelectorAll(".chip input")) chip.checked = (said.reasons ?? []).includes(chip.value);
    this.rationale.value = typeof said.rationale === "string" ? said.rationale : "";
  }

  input(name, value) {
    return this.root.querySelector(`input[name="${CSS.escape(name)}"][value="${CSS.escape(String(value))}"]`);
  }

  mark(side, dimension, value) {
    return this.input(`mark-${side}-${dimension}`, value ?? "na");
  }

  #checked(name) {
    return this.root.querySelector(`input[name="${CSS.escape(name)}"]:checked`)?.value;
  }

  /** As the server takes it, less what only the page knows (shown, seconds, guidelines). */
  read() {
    const preference = this.pair ? this.#checked("preference") : undefined;
    const marks = this.sides.map((side) => {
      const given = boot.dimensions.map((name) => [name, this.#checked(`mark-${side}-${name}`)]);
      return Object.fromEntries(given.filter(([, v]) => v !== undefined).map(([name, v]) => [name, v === "na" ? null : Number(v)]));
    });
    return {
      preference: preference === undefined ? null : Number(preference),
      both_bad: this.pair && this.bothBad.checked,
      marks: this.rated ? marks : [],
      reasons: [...this.root.querySelectorAll(".chip input:checked")].map((chip) => chip.value),
      rationale: storable(this.rationale.value),
    };
  }

  /** What is missing, first things first: {field, message}, or null. */
  missing() {
    const said = this.read();
    if (this.pair && said.preference === null && !said.both_bad) {
      const message = byTouch() ? t("Say which answer is better, or that both are bad") : t("Say which answer is better: 1 to 7, or 0 where both are bad");
      return { field: "preference", message };
    }
    for (const [i, marks] of said.marks.entries()) {
      for (const name of boot.dimensions) {
        if (!(name in marks)) return { field: `marks.${SIDES[i]}.${name}`, message: this.#unrated(SIDES[i], name) };
      }
    }
    return null;
  }

  #unrated(side, name) {
    const text = t(name);
    const values = { dimension: text.charAt(0).toUpperCase() + text.slice(1), letter: side === "left" ? "A" : "B", key: this.keys.get(name) };
    if (byTouch()) return this.pair ? t("{dimension} of answer {letter} is not rated", values) : t("{dimension} is not rated", values);
    return this.pair
      ? t("{dimension} of answer {letter} is not rated: {key}, then 1 to 5 or n", values)
      : t("{dimension} is not rated: {key}, then 1 to 5 or n", values);
  }

  /** Mark the field as wrong and move there; returns false where the page has no such field. */
  showError(field) {
    this.clearError();
    const [kind, side, ...rest] = String(field ?? "").split(".");
    const dimension = rest.join(".");
    const group =
      kind === "marks"
        ? this.root.querySelector(`.mark[data-side="${CSS.escape(side ?? "")}"][data-dimension="${CSS.escape(dimension)}"]`)
        : { preference: this.root.querySelector("#preference"), both_bad: this.bothBad, rationale: this.rationale }[kind];
    if (!group) return false;
    group.dataset.wrong = "true";
    const target = group.matches("input, textarea") ? group : (group.querySelector("input:checked") ?? group.querySelector("input"));
    target.setAttribute("aria-invalid", "true");
    target.focus({ preventScroll: true });
    group.scrollIntoView({ block: "nearest" });
    return true;
  }

  clearError() {
    for (const wrong of this.root.querySelectorAll("[data-wrong]")) delete wrong.dataset.wrong;
    for (const wrong of this.root.querySelectorAll("[aria-invalid]")) wrong.removeAttribute("aria-invalid");
  }

  prefer(value) {
    this.#check(this.input("preference", value));
    return t(PREFERENCES.get(value));
  }

  toggleBothBad() {
    this.bothBad.checked = !this.bothBad.checked;
    this.#refresh(this.bothBad);
    this.changed();
    return this.bothBad.checked ? t("Both bad") : t("Not both bad");
  }

  rate(side, dimension, value) {
    this.last = this.mark(side, dimension, value);
    this.#check(this.last);
  }

  /** Take the rating given last, else the preference, away. */
  takeAway() {
    const last = this.last?.checked ? this.last : this.root.querySelector('input[name="preference"]:checked');
    this.last = null;
    if (!last) return;
    last.checked = false;
    this.#refresh(last);
    this.changed();
  }

  #check(input) {
    input.checked = true;
    this.#refresh(input);
    this.changed();
  }

  #refresh(input) {
    const preference = this.#checked("preference");
    const said = [];
    if (preference !== undefined) said.push(t(PREFERENCES.get(Number(preference))));
    if (this.bothBad.checked) said.push(t("Both bad"));
    this.chosen.textContent = said.join(" · ") || t("Which answer is better?");
    const wrong = input?.closest("[data-wrong]") ?? (input === this.bothBad ? this.root.querySelector("#preference[data-wrong]") : null);
    if (wrong) this.clearError();
  }
}
