// A task is ours for a while: renewed at every third of that time, as long as somebody is at work.

import { request } from "./api.js";

export class Lease {
  /** lost(failure): the server gave the task to others. */
  constructor(clock, lost) {
    this.clock = clock;
    this.lost = lost;
    this.timer = 0;
  }

  start(task, until, now) {
    this.stop();
    this.task = task;
    this.period = Math.min(Math.max((until - now) / 3, 3), 3600);
    this.timer = setInterval(() => this.renew(), 1000 * this.period);
  }

  stop() {
    clearInterval(this.timer);
    this.task = null;
  }

  async renew() {
    const { task } = this;
    if (task === null || !this.clock.active(this.period)) return;
    try {
      await request("POST", `tasks/${task}/renew`);
    } catch (failure) {
      // No answer now: the next turn tries again.
      if (!failure.passing && failure.status !== 401 && task === this.task) this.lost(failure);
    }
  }
}
