"""One annotator as a process of its own, over HTTP: python labeller.py PORT TOKEN SEED LOG [THINK]

THINK: seconds between a task and its judgement, on average.

Goes on through refused connections and 503s with the same Idempotency-Key, as the page does, and writes a line to LOG
for each judgement that the server acknowledged. Ends when nothing is left for it, or when LOG.stop exists.
"""

import http.client
import json
import random
import sys
import time
from pathlib import Path

DIMENSIONS = ("quality", "safety", "consistency")
PATIENCE = 60


class Server:
    def __init__(self, port, token):
        self.port, self.token, self.connection, self.times = port, token, None, []

    def ask(self, path, body=None, key=None):
        """Status and answer, asking again while the server is away."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        until = time.monotonic() + PATIENCE
        while True:
            started = time.monotonic()
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.connection.request("POST", path, json.dumps(body) if body is not None else None, headers)
                response = self.connection.getresponse()
                found = response.read()
                if response.status not in (429, 503):
                    if path.endswith("/next"):
                        self.times.append(time.monotonic() - started)
                    return response.status, json.loads(found) if found else None
            except (OSError, http.client.HTTPException, ValueError):
                self.connection = None
            if time.monotonic() > until:
                raise SystemExit("the server stayed away")
            time.sleep(0.05)


def main(port, token, seed, log, think="0"):
    rng, server, number = random.Random(seed), Server(int(port), token), 0
    with Path(log).open("a") as file:
        while not Path(f"{log}.stop").exists():
            status, task = server.ask("/api/v1/next")
            if status == 204:
                break
            assert status == 200, (status, task)
            marks = [{d: rng.randint(3, 4) for d in DIMENSIONS} for _ in task["answers"]]
            body = {"shown": [a["id"] for a in task["answers"]], "preference": 0, "marks": marks}
            number += 1
            time.sleep(rng.uniform(0, 2 * float(think)))
            path, key = f"/api/v1/tasks/{task['id']}/judgement", f"{seed}-{number}"
            status, answer = server.ask(path, body, key)
            if status in (200, 201):
                print(json.dumps([answer["event"], task["id"], body["shown"]]), file=file, flush=True)
            else:
                assert status == 409, (status, answer)
    Path(f"{log}.times").write_text(json.dumps(server.times))


if __name__ == "__main__":
    main(*sys.argv[1:])
