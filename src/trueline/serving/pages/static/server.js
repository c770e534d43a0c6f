// The server that this page came from: who asks, answers as they are drawn, and what is said of them.

const KEY = "trueline-key";
const PATIENCE = 20_000; // milliseconds

/** status: HTTP's, 0 where no answer came; the message is the server's own, in English. */
export class Failed extends Error {
  constructor(status, error) {
    super(error?.message ?? "");
    this.status = status;
    this.code = error?.code ?? "";
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

async function send(path, body, signal) {
  const headers = {};
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    const method = body === undefined ? "GET" : "POST";
    const content = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(`/chat/${path}`, { method, headers, body: content, signal, credentials: "omit", redirect: "error" });
    if (answer.ok) return answer;
    throw new Failed(answer.status, (await answer.json().catch(() => null))?.error);
  } catch (error) {
    if (error instanceof Failed || error.name === "AbortError") throw error;
    throw new Failed(0);
  }
}

export async function setup() {
  return (await send("setup", undefined, AbortSignal.timeout(PATIENCE))).json();
}

export async function give(feedback) {
  return (await send("feedback", feedback, AbortSignal.timeout(PATIENCE))).json();
}

/** Calls onText with each new piece; resolves to how the answer ended: {finish, seal}. */
export async function draw(model, messages, signal, onText) {
  const answer = await send("answers", { model, messages }, signal);
  let end = null;
  for await (const event of events(answer.body)) {
    if (event.error) throw new Failed(500, event.error);
    if (event.text) onText(event.text);
    if (event.finish) end = event;
  }
  if (!end) throw new Failed(0);
  return end;
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Failed(0);
    });
    if (done) return;
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}
