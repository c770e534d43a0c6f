// One answer on the page: its text as it comes, thumbs, a correction, why.

import { t } from "./strings.js";
import { make, put, storable } from "./text.js";

const UP = "M6.5 9v7.5H3.5V9zM6.5 9l3.300-6c1.300 0 2 .9 1.800 2.100L11.100 8h4.300c.9 0 1.500.8 1.300 1.700l-1.300 5.500c-.2.8-.8 1.300-1.600 1.300H6.500";
const ROLES = { base: "Base", aligned: "Aligned", model: "Answer" };

function thumb(value) {
  const button = make("button", value > 0 ? "quiet thumb up" : "quiet thumb down");
  button.type = "button";
  button.setAttribute("aria-label", value > 0 ? t("Good answer") : t("Bad answer"));
  button.title = button.getAttribute("aria-label");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, v] of Object.entries({ viewBox: "0 0 20 20", width: 20, height: 20, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round", "aria-hidden": "true" })) svg.setAttribute(name, v);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", UP);
  if (value < 0) path.setAttribute("transform", "rotate(180 10 10)");
  svg.append(path);
  button.append(svg);
  return button;
}

export class Reply {
  /** asks: {judge(thumb), correct(text), goOn(), why(element)}; hidden ones are null. */
  constructor(column, side, asks) {
    this.column = column;
    this.side = side;
    this.asks = asks;
    this.root = make("article", "reply");
    this.root.dataset.role = column.role;
    this.root.dataset.testid = `reply-${side}`;
    this.head = make("header");
    this.text = make("div", "text");
    this.text.dir = "auto";
    this.remark = make("p", "remark");
    this.corrected = make("div", "corrected");
    this.acts = make("div", "acts");
    this.reason = make("div", "reason");
    this.said = make("span", "said");
    this.said.setAttribute("role", "status");
    this.thumbs = new Map([1, -1].map((value) => [value, thumb(value)]));
    for (const [value, button] of this.thumbs) button.addEventListener("click", () => asks.judge(value));
    this.correct = this.#act(t("What should it have said?"), () => this.#openCorrection());
    this.why = this.#act(t("Why?"), () => asks.why(this.reason));
    this.acts.append(...this.thumbs.values(), this.correct, this.why, this.said);
    this.root.append(this.head, this.text, this.remark, this.corrected, this.acts, this.reason);
  }

  #act(label, then) {
    const button = make("button", "quiet", label);
    button.type = "button";
    button.addEventListener("click", then);
    return button;
  }

  /** seen: {answer, named, onward: true, false or null, choosable, keeps, consent, ready}. */
  show({ answer, named, onward, choosable, keeps, consent, ready }) {
    const { state } = answer;
    this.answer = answer;
    this.root.dataset.state = state;
    this.root.dataset.goesOn = String(onward === true);
    this.root.setAttribute("aria-busy", String(state === "drawing"));
    this.#showHead(named, onward, choosable);
    const text = state === "refused" ? t(answer.text) : answer.text;
    if (this.shown !== text) put(this.text, text);
    this.shown = text;
    this.#showRemark(answer);
    this.corrected.hidden = !answer.correction;
    if (answer.correction) {
      const text = make("p", "text", answer.correction);
      text.dir = "auto";
      this.corrected.replaceChildren(make("p", "", t("It should have said")), text);
    }
    const judgeable = keeps && ready && Boolean(answer.seal);
    for (const [value, button] of this.thumbs) {
      button.hidden = !judgeable;
      button.setAttribute("aria-pressed", String(answer.thumb === value));
      button.dataset.waits = String(!consent);
    }
    this.correct.hidden = !judgeable;
    this.correct.dataset.waits = String(!consent);
    this.why.hidden = typeof window.showWhy !== "function" || !this.column.explained || !ready || !answer.seal;
  }

  #showHead(named, onward, choosable) {
    const letter = t("Answer {letter}", { letter: "AB"[this.side] });
    const called = make("span", "called", named ? t(ROLES[this.column.role]) : letter);
    const parts = [called];
    if (named) parts.push(make("span", "model", this.column.model));
    if (onward === true) parts.push(make("span", "onward", t("Goes on")));
    if (onward === false && choosable) {
      const button = make("button", "onward link", t("Go on with this one"));
      button.type = "button";
      button.addEventListener("click", () => this.asks.goOn());
      parts.push(button);
    }
    this.head.replaceChildren(...parts);
  }

  #showRemark({ state, finish, trouble, text }) {
    const remarks = {
      refused: t("Refused by the safety gate"),
      stopped: t("Stopped"),
      failed: trouble,
      done: finish === "length" ? t("Cut: the answer reached the longest that is drawn") : text.trim() ? "" : t("The model said nothing"),
    };
    put(this.remark, remarks[state] ?? "");
    this.remark.hidden = !remarks[state];
  }

  tell(text, kind = "") {
    this.said.dataset.kind = kind;
    this.said.textContent = text;
  }

  #openCorrection() {
    if (this.form) return this.#closeCorrection();
    if (!this.asks.mayKeep()) return;
    const id = `correction-${Math.random().toString(36).slice(2)}`;
    const label = make("label", "", t("What should it have said?"));
    label.htmlFor = id;
    const text = make("textarea");
    Object.assign(text, { id, rows: 4, maxLength: 20_000, value: this.answer.correction || this.answer.text, dir: "auto" });
    text.dataset.testid = `correction-${this.side}`;
    const send = make("button", "main", t("Send the correction"));
    const leave = make("button", "plain", t("Cancel"));
    leave.type = "button";
    leave.addEventListener("click", () => this.#closeCorrection());
    const row = make("div", "row end");
    row.append(leave, send);
    this.form = make("form", "correcting");
    this.form.append(label, text, row);
    this.form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const correction = storable(text.value).trim();
      if (!correction || correction === this.answer.text.trim()) return this.tell(t("Change the text first"), "wrong");
      send.disabled = true;
      if (await this.asks.correct(correction)) this.#closeCorrection();
      send.disabled = false;
    });
    this.acts.before(this.form);
    this.correct.setAttribute("aria-expanded", "true");
    text.focus();
  }

  #closeCorrection() {
    this.form?.remove();
    this.form = null;
    this.correct.setAttribute("aria-expanded", "false");
    this.correct.focus();
  }
}
