// A run as it goes on: server-sent events, opened again whenever they break off.

import { request } from "./api.js";

const EVENTS = ["state", "step", "decision", "report", "status"];
const FIRST = 1000; // milliseconds to the next try; twice as many each time
const LAST = 15_000;

/**
 * Calls tell(event, content) for each event, and tell("away") while the server does not answer; returns a function that
 * ends it. Where there is no room for one more stream, the run is asked for again and again instead.
 */
export function follow(name, tell) {
  let source = null;
  let timer = 0;
  let wait = FIRST;
  let over = false;

  function later() {
    if (over) return;
    timer = setTimeout(start, wait);
    wait = Math.min(2 * wait, LAST);
  }
  function open() {
    source = new EventSource(`/api/v1/runs/${encodeURIComponent(name)}/events`);
    for (const event of EVENTS) {
      source.addEventListener(event, ({ data }) => {
        wait = FIRST;
        tell(event, JSON.parse(data));
      });
    }
    source.addEventListener("error", () => {
      source.close();
      later();
    });
  }
  async function start() {
    try {
      const { data } = await request("GET", `runs/${encodeURIComponent(name)}`);
      if (!over) tell("state", data);
    } catch (error) {
      if (over) return;
      if (error.status !== 404) { // a run that is not there yet is waited for
        tell("away");
        later();
        return;
      }
    }
    if (!over) open();
  }
  start();
  return () => {
    over = true;
    clearTimeout(timer);
    source?.close();
  };
}
