// Time spent on a task: pauses longer than two minutes count as two minutes, a hidden page does not count.

const LONGEST_PAUSE = 120; // seconds
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "scroll", "touchstart"];

export class Clock {
  constructor() {
    this.start(0);
    this.lastSign = 0;
    for (const sign of SIGNS) addEventListener(sign, () => this.#tick(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#tick() : (this.last = performance.now())));
  }

  start(seconds) {
    this.sum = seconds;
    this.last = performance.now();
  }

  get seconds() {
    return Math.round(10 * (this.sum + (document.hidden ? 0 : this.#since()))) / 10;
  }

  /** Whether there was a sign of a person in the last so many seconds. */
  active(seconds) {
    return performance.now() - this.lastSign < 1000 * seconds;
  }

  #since() {
    return Math.min((performance.now() - this.last) / 1000, LONGEST_PAUSE);
  }

  #tick() {
    this.sum += this.#since();
    this.last = this.lastSign = performance.now();
  }
}
