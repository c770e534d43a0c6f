// Submissions on their way: kept in this browser before they are sent, and until the server has them.
//
// An entry is {key, task, kind: "judgement" | "skip" | "flag", body, at, refused?}; its key is the same at every
// attempt, so that a submission counts once however often it arrives. Entries go out in the order they came.

import { Failed, request } from "./api.js";

export class Outbox {
  constructor(user) {
    this.place = `trueline.outbox.${user}`;
    this.memory = new Map(); // where the browser keeps nothing
    this.sending = null;
  }

  /** All entries, those of other tabs too. */
  entries() {
    let kept = [];
    try {
      kept = JSON.parse(localStorage.getItem(this.place) ?? "[]");
    } catch {
      kept = [];
    }
    const keys = new Set(kept.map((entry) => entry.key));
    return [...kept, ...[...this.memory.values()].filter((entry) => !keys.has(entry.key))];
  }

  waiting() {
    return this.entries().filter((entry) => !entry.refused);
  }

  refused() {
    return this.entries().filter((entry) => entry.refused);
  }

  has(task) {
    return this.waiting().some((entry) => entry.task === task && entry.kind !== "flag");
  }

  put(entry) {
    this.memory.set(entry.key, entry);
    this.#keep([...this.entries().filter((other) => other.key !== entry.key), entry]);
  }

  remove(key) {
    this.memory.delete(key);
    this.#keep(this.entries().filter((entry) => entry.key !== key));
  }

  #keep(entries) {
    try {
      if (entries.length) localStorage.setItem(this.place, JSON.stringify(entries));
      else localStorage.removeItem(this.place);
      for (const entry of entries) this.memory.delete(entry.key);
    } catch {
      for (const entry of entries) this.memory.set(entry.key, entry);
    }
  }

  /** Send what waits. Resolves to {sent, failure, refusals}: failure is the Failed that stopped it, or null. */
  flush() {
    this.sending ??= this.#locked(() => this.#send()).finally(() => (this.sending = null));
    return this.sending;
  }

  #locked(work) {
    return navigator.locks ? navigator.locks.request(this.place, work) : work();
  }

  async #send() {
    const sent = [];
    const refusals = [];
    for (let entry; (entry = this.waiting()[0]); ) {
      try {
        await request("POST", `tasks/${entry.task}/${entry.kind}`, entry.body, { key: entry.key });
        sent.push(entry);
        this.remove(entry.key);
      } catch (error) {
        if (!(error instanceof Failed)) throw error;
        if (error.passing || error.status === 401) return { sent, failure: error, refusals };
        // A token that ran out is not about what was said: a fresh page sends it.
        if (error.status === 403 && /csrf/i.test(error.message)) return { sent, failure: error, refusals };
        const refused = { status: error.status, ...error.details };
        this.put({ ...entry, refused });
        refusals.push({ ...entry, refused });
      }
    }
    return { sent, failure: null, refusals };
  }
}
