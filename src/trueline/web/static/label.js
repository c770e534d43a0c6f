// The labelling page: one task after another, by keyboard.

import { Failed, request } from "./api.js";
import { Clock } from "./clock.js";
import { Drafts } from "./drafts.js";
import { Form } from "./form.js";
import { composing, listen } from "./keys.js";
import { Lease } from "./lease.js";
import { Outbox } from "./outbox.js";
import { askReason, Guidelines, open, showConflict } from "./panels.js";
import { Reading, setPressed } from "./reading.js";
import { t } from "./strings.js";
import { announce, say, showProgress } from "./telling.js";
import { put, unique } from "./text.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
const SIDES = ["left", "right"];
const LOOK_AGAIN = 20_000; // milliseconds, where nothing was left
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15_000;
const BACK = { chat: "/chat", review: "/review" }[new URLSearchParams(location.search).get("back")]; // who sent us here

const reading = new Reading();
const clock = new Clock();
const outbox = new Outbox(main.dataset.me);
const drafts = new Drafts(main.dataset.me, draftChanged);
const form = new Form(byId("task"), said);
const lease = new Lease(clock, leaseLost);
const guidelines = new Guidelines(() => said());

let task = null;
let active = 0; // the answer that keys rate
let armed = null; // the dimension whose rating is the next key
let busy = false;
let failure = null; // why the last request got no answer
let drafting = false;
let wait = FIRST_WAIT;
let timer = 0;
let undoKey = null;

// ---- What is told -------------------------------------------------------------------------------------------------

function showState() {
  const waiting = outbox.waiting().length;
  const refused = outbox.refused().length;
  const signedOut = failure?.status === 401;
  let [state, text] = ["saved", t("Saved")];
  if (signedOut) [state, text] = ["signed-out", t("You are signed out")];
  else if (failure?.status === 403) [state, text] = ["error", t("Load the page again")];
  else if (failure && waiting) [state, text] = ["offline", t("Offline: {n} waiting", { n: waiting })];
  else if (failure) [state, text] = ["offline", t("Offline")];
  else if (busy || waiting) [state, text] = ["saving", t("Saving…")];
  else if (refused) [state, text] = ["conflict", t("Conflict: {n} to decide", { n: refused })];
  else if (drafting) [state, text] = ["saving", t("Saving…")];
  const box = byId("state");
  box.dataset.state = state;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  byId("state-sign-in").hidden = !signedOut;
  byId("state-open").hidden = state !== "conflict";
  byId("submit").setAttribute("aria-disabled", String(busy || !task));
}

let draftTimer = 0;
function draftChanged(state, problem) {
  clearTimeout(draftTimer);
  if (state === "saving") {
    draftTimer = setTimeout(() => {
      drafting = true;
      showState();
    }, 400);
    return;
  }
  drafting = false;
  if (state === "saved" && !outbox.waiting().length) online();
  if (state === "failed" && (problem.passing || problem.status === 401)) {
    failure = problem;
    recoverLater();
  }
  showState();
}

// ---- What is shown ------------------------------------------------------------------------------------------------

function view(name) {
  main.dataset.view = name;
  byId("task").hidden = name === "empty" || name === "trouble";
  byId("empty").hidden = name !== "empty";
  byId("trouble").hidden = name !== "trouble";
  for (const id of ["skip", "flag", "submit"]) byId(id).disabled = name !== "task";
}

function showTask(given, now, { said = drafts.restore(given), title = "" } = {}) {
  task = given;
  view("task");
  byId("task").dataset.kind = given.kind;
  reading.start(given);
  form.start(given.answers.length === 2, said);
  setPressed("flag", false);
  setActive(0);
  arm(null);
  say();
  clock.start(Number(said?.seconds) || 0);
  lease.start(given.id, given.leased_until, now);
  if (!guidelines.isOpen) byId("prompt").focus({ preventScroll: true });
  announce(title || (given.answers.length === 2 ? t("New task: two answers") : t("New task: one answer")));
  showState();
  showProgress();
}

function setActive(side) {
  active = task?.answers.length === 2 ? side : 0;
  for (const answer of document.querySelectorAll(".answer")) answer.dataset.active = String(Number(answer.dataset.side) === active);
}

function arm(dimension) {
  armed = dimension;
  for (const mark of document.querySelectorAll(".mark")) {
    mark.dataset.armed = String(mark.dataset.dimension === dimension && mark.dataset.side === SIDES[active]);
  }
}

// ---- What a person does -------------------------------------------------------------------------------------------

function content() {
  return { shown: task.answers.map((answer) => answer.id), ...form.read(), seconds: clock.seconds, guidelines: guidelines.version };
}

function said() {
  if (!task) return;
  say();
  drafts.change(task.id, content());
}

async function submit() {
  if (busy || !task) return;
  const missing = form.missing();
  if (missing) {
    pointAt(missing.field, missing.message);
    return;
  }
  form.clearError();
  await send("judgement", content());
}

/** Say what is wrong and go there; the keys for it are the next ones. */
function pointAt(field, message) {
  arm(null);
  form.showError(field);
  const [kind, side, ...name] = String(field ?? "").split(".");
  if (kind === "marks" && form.keys.has(name.join("."))) {
    setActive(Math.max(0, SIDES.indexOf(side)));
    arm(name.join("."));
  }
  say(message);
}

async function skip() {
  if (busy || !task) return;
  const reason = await askReason("skip-dialog");
  if (reason !== null) await send("skip", { reason });
}

async function flag() {
  if (busy || !task) return;
  const reason = await askReason("flag-dialog");
  if (reason === null) return;
  outbox.put({ key: unique(), task: task.id, kind: "flag", body: { reason }, at: Date.now() });
  setPressed("flag", true);
  say(t("Flagged: reviewers will look at it. You can still judge or skip it."), "note");
  await deliver();
}

/** Into the outbox first, then to the server, then on to the next task. */
async function send(kind, body) {
  const entry = { key: unique(), task: task.id, kind, body, at: Date.now() };
  outbox.put(entry);
  drafts.forget(task.id);
  lease.stop();
  busy = true;
  say();
  showState();
  const { refusals } = await deliver();
  busy = false;
  const refused = refusals.find((one) => one.key === entry.key);
  if (refused?.refused.status === 422 && kind === "judgement") return correct(refused);
  if (refused && (await decide(refused)) === "reopen") return undefined;
  if (BACK && !failure) return location.assign(BACK);
  return next();
}

/** What the server found wrong is put right by the person: the task is still there. */
function correct({ key, refused, body }) {
  outbox.remove(key);
  lease.start(task.id, Date.now() / 1000 + 3 * lease.period, Date.now() / 1000);
  drafts.change(task.id, body);
  pointAt(refused.field, refused.message || t("The server did not take your answer"));
  showState();
}

/** Send what waits, and see what became of it. */
async function deliver() {
  const result = await outbox.flush();
  failure = result.failure;
  if (failure) recoverLater();
  else wait = FIRST_WAIT;
  showState();
  return result;
}

async function decide(entry) {
  showState();
  const choice = await showConflict(entry);
  if (choice === "keep") outbox.remove(entry.key);
  if (choice === "reopen") await reopen(entry);
  showState();
  return choice;
}

async function reopen(entry) {
  try {
    const { data, now } = await request("GET", `tasks/${entry.task}`);
    outbox.remove(entry.key);
    showTask(data, now, { said: entry.body });
    pointAt(entry.refused.field, entry.refused.message ?? "");
  } catch (problem) {
    say(problem.message || t("The server cannot be reached"));
  }
}

function online() {
  failure = null;
  wait = FIRST_WAIT;
  showState();
}

async function next() {
  if (busy) return;
  busy = true;
  showState();
  try {
    const { status, data, now } = await request("POST", "next");
    busy = false;
    if (!outbox.waiting().length) online();
    if (status === 204) nothingLeft();
    else if (outbox.has(data.id)) trouble(failure ?? new Failed(0));
    else showTask(data, now);
  } catch (problem) {
    busy = false;
    trouble(problem);
  }
}

function nothingLeft() {
  const before = main.dataset.view;
  task = null;
  lease.stop();
  view("empty");
  if (before !== "empty") byId("empty").focus({ preventScroll: true });
  showState();
  showProgress();
  clearTimeout(timer);
  timer = setTimeout(next, LOOK_AGAIN);
}

/** No task can be had just now: say why, keep what there is, and come back by itself. */
function trouble(problem) {
  const before = main.dataset.view;
  failure = problem;
  task = null;
  lease.stop();
  view("trouble");
  const waiting = outbox.waiting().length;
  const kept = waiting ? t("What you said is kept in this browser ({n} waiting) and is sent as soon as possible.", { n: waiting }) : "";
  const passing = problem.passing;
  byId("trouble-title").textContent = passing ? t("The server cannot be reached") : problem.status === 401 ? t("You are signed out") : t("No task can be had");
  const why = passing ? t("This page tries again by itself.") : problem.status === 401 ? t("Sign in to go on.") : problem.message;
  put(byId("trouble-text"), [why, kept].filter(Boolean).join(" "));
  byId("sign-in").hidden = problem.status !== 401;
  byId("try-again").hidden = problem.status === 401;
  if (before !== "trouble") byId("trouble").focus({ preventScroll: true });
  showState();
  recoverLater();
}

function recoverLater() {
  clearTimeout(timer);
  if (failure && !failure.passing) return; // waiting does not help
  timer = setTimeout(recover, Math.max(wait, failure?.wait ?? 0) * (0.8 + 0.4 * Math.random()));
  wait = Math.min(2 * wait, LONGEST_WAIT);
}

async function recover() {
  clearTimeout(timer);
  if (busy) return;
  if (outbox.waiting().length) {
    const { refusals, failure: still } = await deliver();
    for (const refused of refusals) if ((await decide(refused)) === "reopen") return;
    if (still) return;
  }
  if (drafts.pending) await drafts.save();
  else if (task) online();
  if (!task) await next();
}

async function undo() {
  if (busy) return;
  if (outbox.waiting().length) {
    await deliver();
    if (outbox.waiting().length) return say(t("Your last answer is not sent yet; undo it when you are online again."));
  }
  busy = true;
  undoKey ??= unique();
  await drafts.save();
  const before = task;
  showState();
  try {
    const { data, now } = await request("POST", "undo", undefined, { key: undoKey });
    undoKey = null;
    drafts.forget(data.id);
    busy = false;
    showTask(data, now, { said: data.draft, title: t("Undone: your last task is here again") });
    say(t("Undone: your last task is here again"), "note");
    if (before && before.id !== data.id) request("POST", `tasks/${before.id}/release`).catch(() => {});
  } catch (problem) {
    busy = false;
    if (!problem.passing) undoKey = null;
    if (problem.status === 401) failure = problem;
    say(problem.status === 404 ? t("There is nothing to undo") : problem.message || t("The server cannot be reached"), "note");
    showState();
  }
}

function leaseLost(problem) {
  say(problem.message || t("Your time for this task ran out. Skip it, or submit to see whether it still counts."));
}

// ---- Keys ---------------------------------------------------------------------------------------------------------

function rate(key) {
  if (!/^[1-5n]$/.test(key)) {
    if (/^[0-9]$/.test(key)) announce(t("1 to 5, or n"));
    return /^[0-9]$/.test(key);
  }
  const value = key === "n" ? null : Number(key);
  form.rate(SIDES[active], armed, value);
  announce(`${"AB"[active]}: ${t(armed)} ${value ?? t("N/A")}`);
  arm(null);
  return true;
}

const COMMANDS = {
  x: skip,
  f: flag,
  u: undo,
  g: () => guidelines.toggle(),
  d: () => task && reading.toggleDifferences(),
  e: () => reading.toggleTall(),
  b: () => task && reading.toggleBlur(active),
  r: () => task && form.rationale.focus(),
  "?": () => open(byId("help-dialog")),
};

/** Whether Tab belongs to the answers: nothing else has the focus. */
function atAnswers(element) {
  return element === document.body || element === main || element === byId("prompt") || reading.texts.includes(element);
}

function otherAnswer() {
  setActive(1 - active);
  arm(null);
  reading.texts[active].focus({ preventScroll: true });
  const card = reading.texts[active].closest(".answer");
  const { top } = card.getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.6) card.scrollIntoView({ block: "start" });
}

listen((key, event) => {
  const element = event.target;
  if (key === "Escape") {
    if (armed) arm(null);
    else if (guidelines.isOpen) guidelines.close();
    else return false;
    return true;
  }
  if (key === "Tab") {
    if (event.shiftKey || task?.answers.length !== 2 || !atAnswers(element)) return false;
    if (reading.veiled) return false;
    otherAnswer();
    return true;
  }
  if (key === "Enter") {
    if (element.closest("button, a, summary") || !task) return false;
    submit();
    return true;
  }
  if (key in COMMANDS) {
    arm(null);
    COMMANDS[key]();
    return true;
  }
  if (!task || busy) return false;
  if (armed) {
    if (rate(key)) return true;
    arm(null);
  }
  if (key === "Backspace" || key === "Delete") {
    form.takeAway();
    return true;
  }
  const dimension = form.rated ? [...form.keys].find(([, own]) => own === key)?.[0] : undefined;
  if (dimension !== undefined) {
    arm(dimension);
    announce(`${"AB"[active]}: ${t(dimension)}…`);
    return true;
  }
  if (task.answers.length !== 2) return false;
  if (/^[1-7]$/.test(key)) announce(form.prefer(Number(key) - 4));
  else if (key === "0") announce(form.toggleBothBad());
  else return false;
  return true;
});

form.rationale.addEventListener("keydown", (event) => {
  if (composing(event)) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
  else if (event.key === "Escape") reading.texts[active].focus({ preventScroll: true });
  else return;
  event.preventDefault();
});

// ---- The rest of the wiring ---------------------------------------------------------------------------------------

for (const [id, act] of Object.entries({
  submit,
  skip,
  flag,
  undo,
  diff: COMMANDS.d,
  tall: COMMANDS.e,
  help: () => open(byId("help-dialog")),
  reveal: COMMANDS.b,
  "try-again": recover,
  "look-again": next,
  "state-open": async () => {
    for (const entry of outbox.refused()) if ((await decide(entry)) !== "keep") break;
  },
})) {
  byId(id).addEventListener("click", act);
}

// A click by mouse leaves no focus on a button: Enter still means submit.
for (const button of document.querySelectorAll(".tools button, .actions button")) {
  button.addEventListener("click", (event) => event.detail && button.blur(), { capture: true });
}

for (const answer of document.querySelectorAll(".answer")) {
  const choose = () => {
    if (active === Number(answer.dataset.side)) return;
    setActive(Number(answer.dataset.side));
    arm(null);
  };
  answer.addEventListener("focusin", choose);
  answer.addEventListener("pointerdown", choose);
}

addEventListener("online", () => {
  wait = FIRST_WAIT;
  recover();
});
addEventListener("storage", (event) => event.key === outbox.place && showState());
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("pagehide", () => drafts.save({ leaving: true }));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) drafts.save({ leaving: true });
  else if (failure || main.dataset.view === "empty") recover();
});

for (const key of document.querySelectorAll("[data-key-of]")) key.textContent = form.keys.get(key.dataset.keyOf);
view("loading");
const { refusals } = await deliver();
for (const refused of refusals) await decide(refused);
if (!task) await next();
