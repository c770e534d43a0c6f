// What a person reads of a task: the conversation, the answers, where they differ, and the veil over what was flagged.

import { compare, show } from "./diff.js";
import { t } from "./strings.js";
import { announce, say } from "./telling.js";
import { make, put } from "./text.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
const MOST_TURNS_OPEN = 2; // earlier messages shown without being asked for
const SHORT = 600; // characters of them
const TALL = "trueline.tall";

export function setPressed(id, pressed) {
  byId(id).setAttribute("aria-pressed", String(pressed));
}

export class Reading {
  constructor() {
    this.texts = [byId("text-left"), byId("text-right")];
    this.answers = [];
    try {
      this.toggleTall(localStorage.getItem(TALL) === "true");
    } catch {
      this.toggleTall(false);
    }
  }

  start({ messages, answers, blurred }) {
    this.answers = answers;
    this.flagged = blurred;
    this.#showConversation(messages);
    byId("diff").hidden = answers.length !== 2;
    setPressed("diff", false);
    this.#showAnswers();
    this.#blur(blurred);
    for (const box of [byId("prompt"), ...this.texts]) box.scrollTop = 0;
    scrollTo(0, 0);
  }

  get veiled() {
    return byId("task").dataset.blurred === "true";
  }

  #showConversation(messages) {
    const last = messages.findLastIndex((message) => message.role === "user");
    const at = last < 0 ? messages.length - 1 : last;
    const earlier = messages.filter((_, i) => i !== at);
    put(byId("prompt"), messages[at]?.content ?? "");
    byId("turns").replaceChildren(...earlier.map(turn));
    const length = earlier.reduce((sum, message) => sum + message.content.length, 0);
    byId("earlier").hidden = !earlier.length;
    byId("earlier").open = earlier.length <= MOST_TURNS_OPEN && length <= SHORT;
    byId("earlier-title").textContent = earlier.length === 1 ? t("1 earlier message") : t("{n} earlier messages", { n: earlier.length });
  }

  #showAnswers() {
    this.texts.forEach((box, i) => put(box, this.answers[i]?.text));
  }

  toggleDifferences() {
    if (this.answers.length !== 2) return undefined;
    const on = byId("diff").getAttribute("aria-pressed") !== "true";
    const differences = on ? compare(...this.answers.map((answer) => answer.text)) : null;
    if (differences && !differences.whole) return say(t("These texts are too long to compare word by word."), "note");
    setPressed("diff", on);
    const places = this.texts.map((box) => box.scrollTop);
    if (on) {
      show(this.texts[0], differences.a, "del");
      show(this.texts[1], differences.b, "ins");
    } else {
      this.#showAnswers();
    }
    this.texts.forEach((box, i) => (box.scrollTop = places[i]));
    return announce(on ? t("Differences are marked") : t("Differences are not marked"));
  }

  toggleTall(on = main.dataset.tall !== "true") {
    main.dataset.tall = String(on);
    setPressed("tall", on);
    try {
      localStorage.setItem(TALL, on);
    } catch {
      // It holds for this page.
    }
  }

  #blur(on) {
    byId("task").dataset.blurred = String(on);
    byId("veil").hidden = !on;
    for (const box of [byId("prompt"), byId("turns"), ...this.texts]) {
      if (on) box.setAttribute("aria-hidden", "true");
      else box.removeAttribute("aria-hidden");
    }
    for (const box of this.texts) box.tabIndex = on ? -1 : 0;
  }

  /** Show what was flagged, or veil it again; the focus goes from the veil to the answer `active`. */
  toggleBlur(active) {
    if (!this.flagged) return;
    const on = !this.veiled;
    const inside = byId("veil").contains(document.activeElement);
    this.#blur(on);
    if (inside) this.texts[active].focus({ preventScroll: true });
    announce(on ? t("Blurred") : t("Shown"));
  }
}

function turn({ role, content }) {
  const box = make("div", "turn");
  box.dataset.role = role;
  box.append(make("h3", "who-speaks", { user: t("User"), assistant: t("Assistant"), system: t("System") }[role] ?? role));
  const text = make("div", "text", content);
  text.dir = "auto";
  box.append(text);
  return box;
}
