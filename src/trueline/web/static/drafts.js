// What is said so far about a task: in this browser at once, on the server soon after, restored from the newer.

import { request } from "./api.js";

const PAUSE = 800; // milliseconds without a change before the server gets it
const OLD = 14 * 24 * 3600 * 1000;
const KEEPALIVE_BYTES = 60_000; // browsers refuse more in a request that outlives its page

export class Drafts {
  /** changed(state, failure): "saving", "saved" or "failed". */
  constructor(user, changed) {
    this.prefix = `trueline.draft.${user}.`;
    this.changed = changed;
    this.timer = 0;
    this.pending = null; // {task, content} that the server does not have
    this.#forgetOld();
  }

  /** Of the server's draft and ours, the newer; null where there is none. */
  restore(task) {
    const ours = this.#read(this.prefix + task.id);
    const theirs = task.draft && Object.keys(task.draft).length ? task.draft : null;
    if (ours && (!theirs || ours.saved_at > (theirs.saved_at ?? 0))) return ours;
    return theirs;
  }

  change(task, content) {
    content.saved_at = Date.now();
    this.#write(this.prefix + task, content);
    this.pending = { task, content };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  async save({ leaving = false } = {}) {
    clearTimeout(this.timer);
    const { pending } = this;
    if (!pending) return;
    if (!leaving) this.changed("saving");
    const keepalive = leaving && JSON.stringify(pending.content).length * 3 < KEEPALIVE_BYTES;
    try {
      await request("PUT", `tasks/${pending.task}/draft`, { content: pending.content }, { keepalive });
      if (this.pending === pending) this.pending = null;
      this.changed("saved");
    } catch (failure) {
      this.changed("failed", failure);
    }
  }

  /** It was submitted or skipped. */
  forget(task) {
    clearTimeout(this.timer);
    if (this.pending?.task === task) this.pending = null;
    this.#write(this.prefix + task, null);
  }

  #read(place) {
    try {
      return JSON.parse(localStorage.getItem(place));
    } catch {
      return null;
    }
  }

  #write(place, content) {
    try {
      if (content) localStorage.setItem(place, JSON.stringify(content));
      else localStorage.removeItem(place);
    } catch {
      // This browser keeps nothing: the server's copy has to do.
    }
  }

  #forgetOld() {
    try {
      for (const place of Object.keys(localStorage)) {
        if (place.startsWith(this.prefix) && !(this.#read(place)?.saved_at > Date.now() - OLD)) localStorage.removeItem(place);
      }
    } catch {
      // As above.
    }
  }
}
