// What the page tells a person beside the task: messages, what a screen reader says, how far the queue is.

import { request } from "./api.js";
import { number, t } from "./strings.js";

const byId = (id) => document.getElementById(id);

export function announce(text) {
  byId("announce").textContent = text;
}

export function say(text = "", kind = "wrong") {
  const message = byId("message");
  message.dataset.kind = kind;
  if (message.textContent !== text) message.textContent = text;
}

export async function showProgress() {
  try {
    const { data } = await request("GET", "progress");
    byId("counts").textContent = t("{today} today · {open} open", {
      today: number.format(data.mine_today),
      open: number.format(data.open),
    });
    const share = data.wanted ? Math.min(1, data.judged / data.wanted) : 0;
    const track = byId("track");
    track.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    track.title = t("{judged} of {wanted} judgements", { judged: number.format(data.judged), wanted: number.format(data.wanted) });
    track.firstElementChild.style.transform = `scaleX(${share})`;
  } catch {
    // It says how far we are; the next task asks again.
  }
}
