// The annotator writes, the policy answers twice; the answer that is judged better goes on.

import { request } from "./api.js";
import { t } from "./strings.js";
import { make, storable } from "./text.js";

const KEPT = "trueline-chat";
const status = document.getElementById("status");
const message = document.getElementById("message");
let chat = JSON.parse(sessionStorage.getItem(KEPT) ?? '{"messages": [], "job": 0}');

function keep() {
  sessionStorage.setItem(KEPT, JSON.stringify(chat));
}

function show(task) {
  document.getElementById("turns").replaceChildren(...chat.messages.map((m) => {
    const turn = make("li", `text ${m.role}`, m.content);
    turn.dir = "auto";
    return turn;
  }));
  const two = document.getElementById("two");
  two.hidden = !task;
  document.getElementById("judge-line").hidden = !task;
  document.getElementById("say").hidden = Boolean(chat.job);
  if (!task) return;
  two.replaceChildren(...task.answers.map((a) => {
    const answer = make("div", "card text", a.text);
    answer.dir = "auto";
    return answer;
  }));
}

async function wait() {
  const { data } = await request("GET", `chats/${chat.job}`);
  if (data.state === "failed") {
    status.textContent = data.error;
    chat.messages.pop();
    chat.job = 0;
    keep();
    show();
  } else if (data.state !== "done") {
    status.textContent = t("The policy is writing…");
    setTimeout(() => wait().catch(failed), 500);
  } else if (data.chosen === null) {
    status.textContent = "";
    show(data.task);
  } else {
    status.textContent = "";
    chat.messages.push({ role: "assistant", content: data.chosen });
    chat.job = 0;
    keep();
    show();
    message.focus();
  }
}

function failed(error) {
  status.textContent = error.message || t("The server does not answer.");
}

document.getElementById("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const content = storable(message.value).trim();
  if (!content) return;
  const messages = [...chat.messages, { role: "user", content }];
  try {
    const { data } = await request("POST", "chats", { messages });
    chat = { messages, job: data.job };
    message.value = "";
    keep();
    show();
    await wait();
  } catch (error) {
    failed(error);
  }
});
document.getElementById("again").addEventListener("click", () => {
  chat = { messages: [], job: 0 };
  keep();
  show();
  message.focus();
});
show();
if (chat.job) wait().catch(failed);
