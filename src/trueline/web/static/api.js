// Requests to the server: JSON in, JSON out, and failures as one kind of error.

const csrf = document.querySelector('meta[name="csrf"]').content;
const PATIENCE = 20_000; // milliseconds

/** status: HTTP's, or 0 where no answer came; details: the server's error object. */
export class Failed extends Error {
  constructor(status, details = {}, wait = 0) {
    super(details.message || "");
    this.status = status;
    this.details = details;
    this.wait = wait;
  }

  /** It may go well when tried again as it is. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Resolves to {status, data, now}, now being the server's clock in seconds; throws Failed. */
export async function request(method, path, body, { key, keepalive = false } = {}) {
  const headers = { Accept: "application/json", "X-CSRF-Token": csrf };
  const upload = body instanceof FormData; // the browser names its type, and it may take as long as it takes
  if (body !== undefined && !upload) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  let data = null;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      method,
      headers,
      keepalive,
      body: body === undefined || upload ? body : JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
      signal: keepalive || upload ? undefined : AbortSignal.timeout(PATIENCE),
    });
    const text = answer.status === 204 ? "" : await answer.text();
    try {
      data = text ? JSON.parse(text) : null;
    } catch {
      if (answer.ok) throw new Failed(502); // an answer, but not our server's
    }
  } catch (error) {
    throw error instanceof Failed ? error : new Failed(0);
  }
  const wait = 1000 * (Number(answer.headers.get("retry-after")) || 0);
  if (!answer.ok) throw new Failed(answer.status, data?.error, wait);
  const date = Date.parse(answer.headers.get("date") ?? "");
  return { status: answer.status, data, now: (Number.isNaN(date) ? Date.now() : date) / 1000 };
}
