// The chat page: a person asks, each model answers, and what is said of the answers goes to the server with consent.

import { begin, ended, feedback, judged, onward, usable } from "./exchanges.js";
import { Reply } from "./reply.js";
import { Failed, draw, give, key, setup } from "./server.js";
import { t } from "./strings.js";
import { make, storable } from "./text.js";

const KEPT = "trueline-talk";
const BROWSER = "trueline-user";
const byId = (id) => document.getElementById(id);
const [main, message, consent] = ["main", "message", "consent"].map(byId);

let server = null;
let drawing = null; // aborts the answers that are being drawn
let talk = { exchanges: [], consent: false };
const shown = new Map(); // by exchange, its replies

function keep() {
  sessionStorage.setItem(KEPT, JSON.stringify(talk));
}

function recall() {
  try {
    talk = JSON.parse(sessionStorage.getItem(KEPT)) ?? talk;
  } catch {
    // what is there is not ours
  }
  for (const exchange of talk.exchanges) {
    for (const answer of Object.values(exchange.answers)) if (answer.state === "drawing") answer.state = "stopped";
  }
}

/** What tells this browser's labels apart where no keys are asked for; made with the first that are given. */
function browser() {
  if (server.who) return null;
  let secret = localStorage.getItem(BROWSER);
  if (!/^[0-9a-f]{32}$/.test(secret ?? "")) {
    secret = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(BROWSER, secret);
  }
  return secret;
}

function inWords(error) {
  if (!(error instanceof Failed)) throw error;
  if (error.code === "context_length_exceeded") return t("This conversation is longer than the model can read. Start a new chat.");
  if (error.code === "unknown_answer") return t("The server was started again since; ask again, then judge.");
  if (error.status === 0) return t("The server does not answer.");
  if (error.status === 401) return t("The key is no longer valid. Sign in again.");
  if (error.status === 429) return t("Too many requests in a minute. Wait a little, then try again.");
  return error.message;
}

function show(exchange) {
  const last = talk.exchanges.at(-1) === exchange;
  const goes = ended(exchange) && exchange.models.length > 1 ? onward(exchange, server.columns) : null;
  const named = !exchange.blind || judged(exchange) || !last;
  for (const [i, reply] of shown.get(exchange).entries()) {
    const model = exchange.models[i];
    reply.show({
      answer: exchange.answers[model],
      named,
      onward: goes === null ? null : goes === model,
      choosable: last && usable(exchange.answers[model]),
      keeps: server.kept,
      consent: talk.consent,
      ready: ended(exchange),
    });
  }
}

function add(exchange) {
  const turn = make("li", "exchange");
  const asked = make("div", "asked text", exchange.asked);
  asked.dir = "auto";
  const pair = make("div", "pair");
  const replies = exchange.models.map((model, i) => {
    const column = server.columns.find((c) => c.model === model);
    const reply = new Reply(column, i, {
      mayKeep,
      judge: (value) => mayKeep() && say(exchange, model, { thumb: exchange.answers[model].thumb === value ? 0 : value }, reply),
      correct: (correction) => mayKeep() && say(exchange, model, { correction, thumb: exchange.answers[model].thumb || -1 }, reply),
      goOn: () => {
        exchange.onward = model;
        keep();
        show(exchange);
      },
      why: (element) => {
        const other = exchange.models.find((m) => m !== model);
        const texts = [model, other].map((m) => (m ? exchange.answers[m].text : null));
        window.showWhy(element, { model, messages: exchange.messages, answer: texts[0], other: texts[1] });
      },
    });
    pair.append(reply.root);
    return reply;
  });
  turn.append(asked, pair);
  byId("turns").append(turn);
  shown.set(exchange, replies);
  show(exchange);
}

/** Whether what is said may be kept; where not, the page shows what is missing. */
function mayKeep() {
  if (talk.consent) return true;
  byId("consent-box").dataset.wanted = "true";
  byId("consent-box").scrollIntoView({ block: "center" });
  consent.focus({ preventScroll: true });
  byId("announce").textContent = t("Nothing is kept without the tick. Set it first, if you agree.");
  return false;
}

async function say(exchange, model, change, reply) {
  const answer = exchange.answers[model];
  const before = { ...answer };
  Object.assign(answer, change);
  exchange.dimension ??= byId("dimension").value || null;
  show(exchange);
  try {
    await give(feedback(exchange, browser()));
    reply.tell(answer.thumb || answer.correction ? t("Kept") : t("Taken back"));
    keep();
    return true;
  } catch (error) {
    Object.assign(answer, before);
    show(exchange);
    reply.tell(inWords(error), "wrong");
    return false;
  }
}

async function answer(exchange, model, signal) {
  const found = exchange.answers[model];
  try {
    const { finish, seal } = await draw(model, exchange.messages, signal, (text) => {
      found.text += text;
      show(exchange);
    });
    Object.assign(found, { finish, seal, state: finish === "content_filter" ? "refused" : "done" });
  } catch (error) {
    found.state = error.name === "AbortError" ? "stopped" : "failed";
    if (found.state === "failed") found.trouble = inWords(error);
    if (error.status === 401) signIn(inWords(error));
  }
  show(exchange);
}

async function ask(asked) {
  const before = talk.exchanges.at(-1);
  const exchange = begin({ exchanges: talk.exchanges, columns: server.columns }, server.columns, asked, talk.consent && server.columns.length > 1);
  talk.exchanges.push(exchange);
  if (before) show(before); // names are told now
  byId("welcome").hidden = true;
  add(exchange);
  drawing = new AbortController();
  busy();
  shown.get(exchange)[0].root.parentElement.parentElement.scrollIntoView({ block: "start", behavior: "smooth" });
  await Promise.all(exchange.models.map((model) => answer(exchange, model, drawing.signal)));
  drawing = null;
  busy();
  byId("announce").textContent = exchange.models.length > 1 ? t("Both answers are there.") : t("The answer is there.");
  keep();
}

function busy() {
  byId("send").hidden = drawing !== null;
  byId("stop").hidden = drawing === null;
}

function showConsent() {
  consent.checked = talk.consent;
  byId("about").hidden = !talk.consent || server.dimensions.length < 2;
  delete byId("consent-box").dataset.wanted;
  for (const exchange of shown.keys()) show(exchange);
}

function open() {
  main.dataset.view = "open";
  byId("key-form").hidden = true;
  byId("talk").hidden = false;
  byId("leave").hidden = !server.guarded;
  byId("no-gate").hidden = server.columns.every((c) => c.gate === "on");
  byId("red-team").hidden = server.columns.every((c) => !c.red_team);
  byId("red-team-why").textContent = t("Why: {reason}", { reason: server.columns.map((c) => c.red_team).find(Boolean) ?? "" });
  const two = server.columns.length > 1;
  byId("welcome-title").textContent = two ? t("Ask, and compare two answers") : t("Talk to {model}", { model: server.columns[0].model });
  byId("welcome-text").textContent = two
    ? t("{model} answers beside {base}. Both see the same conversation, which goes on with the answer that you find better.", { model: server.columns[0].model, base: server.columns[1].model })
    : t("It answers what you write. There is no base policy to compare it with.");
  byId("not-kept").hidden = server.kept;
  byId("consent-box").hidden = !server.kept;
  byId("consent-blind").hidden = !two;
  byId("consent-who").textContent = server.who ? t("They stand under the name {name}.", { name: server.who }) : t("They stand under a made-up name of this browser.");
  byId("dimension").replaceChildren(...server.dimensions.map((d) => new Option(t(d), d, false, d === server.dimension)));
  recall();
  const known = new Set(server.columns.map((c) => c.model));
  talk.exchanges = talk.exchanges.filter((e) => e.models.every((m) => known.has(m)));
  talk.consent &&= server.kept;
  byId("turns").replaceChildren();
  shown.clear();
  byId("welcome").hidden = talk.exchanges.length > 0;
  for (const exchange of talk.exchanges) add(exchange);
  showConsent();
  message.focus({ preventScroll: true });
}

function signIn(why = "") {
  main.dataset.view = "key";
  byId("talk").hidden = true;
  byId("key-form").hidden = false;
  byId("key-error").hidden = !why;
  byId("key-error").textContent = why;
  byId("key").focus();
}

async function start() {
  try {
    byId("trouble").hidden = true;
    server = await setup();
    open();
  } catch (error) {
    if (error.status === 401) {
      signIn(key.get() ? t("This key is not known here.") : "");
      key.set("");
    } else {
      byId("trouble").hidden = false;
      byId("trouble").textContent = inWords(error);
    }
  }
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key").value.trim());
  byId("key").value = "";
  start();
});
byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = storable(message.value).trim();
  if (!asked || drawing) return;
  message.value = "";
  ask(asked);
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("say").requestSubmit();
});
byId("stop").addEventListener("click", () => drawing?.abort());
byId("again").addEventListener("click", () => {
  drawing?.abort();
  talk.exchanges = [];
  shown.clear();
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  keep();
  message.focus();
});
byId("leave").addEventListener("click", () => {
  drawing?.abort();
  sessionStorage.clear();
  talk = { exchanges: [], consent: false };
  signIn();
});
consent.addEventListener("change", () => {
  talk.consent = consent.checked;
  keep();
  showConsent();
});
addEventListener("load", () => server && showConsent()); // why.js may be there now
start();
