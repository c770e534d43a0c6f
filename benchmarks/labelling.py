"""The labelling service under load: python benchmarks/labelling.py [--postgres URL] [--items 100000] [--people 32]

Prints seconds to the first page, the server's memory, `next` at the median and at 95%, and an export of 50,000
judgements. Each annotator is a process that asks over HTTP, as tests/e2e/labeller.py does, for --seconds; between a
task and its judgement it waits --think seconds, as people do (0: as fast as it can). They arrive 0.3 s apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

E2E = Path(__file__).resolve().parents[1] / "tests" / "e2e"
sys.path.insert(0, str(E2E))

from serving import Serving  # noqa: E402

from trueline.config import Config, LabellingConfig, ProjectConfig, render  # noqa: E402
from trueline.feedback.accounts.accounts import Accounts  # noqa: E402
from trueline.feedback.exporting.export import export  # noqa: E402
from trueline.feedback.labelling.items import add_items, unjudged  # noqa: E402
from trueline.feedback.labelling.judging import submit  # noqa: E402
from trueline.feedback.labelling.queue import Queue  # noqa: E402
from trueline.feedback.labelling.records import Judgement  # noqa: E402
from trueline.feedback.store import FeedbackStore  # noqa: E402
from trueline.records import Exchange, Prompt  # noqa: E402

OVERLAP, BATCH, ARRIVAL = 3, 2000, 0.3
DIMENSIONS = ("quality", "safety", "consistency")


def fill(store: FeedbackStore, items: int) -> None:
    for start in range(0, items, BATCH):
        store.add(
            Exchange.of(Prompt.from_user(f"question {i} about an order that did not arrive"), f"answer {j} " * 12)
            for i in range(start, min(items, start + BATCH))
            for j in range(2)
        )
    add_items(store, unjudged(store), OVERLAP)


def load(server: Serving, tokens: list[str], folder: Path, seconds: float, think: float) -> list[float]:
    """All times of `next`, in seconds."""
    people = []
    for i, token in enumerate(tokens):
        command = [sys.executable, str(E2E / "labeller.py"), str(server.port), token, str(i), str(folder / f"{i}.log")]
        people.append(subprocess.Popen([*command, str(think)]))
        time.sleep(ARRIVAL)
    time.sleep(seconds)
    for i in range(len(people)):
        (folder / f"{i}.log.stop").touch()
    for p in people:
        p.wait(120)
    return sorted(t for path in folder.glob("*.times") for t in json.loads(path.read_text()))


def judged(store: FeedbackStore, n: int) -> None:
    """n judgements by twenty people, without the network."""
    queue = Queue(store, LabellingConfig(again=0))
    for i in range(n):
        person = f"exporter {i % 20}"
        task = queue.claim(person)
        assert task is not None
        marks = (dict.fromkeys(DIMENSIONS, 1 + i % 5),) * 2
        said = Judgement(tuple(c.id for c in task.answers), i % 7 - 3, marks=marks)
        submit(queue, task.id, person, said, f"k{i}", DIMENSIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", default="", help="the URL of an empty database; SQLite where not given")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--think", type=float, default=2.0)
    parser.add_argument("--export", type=int, default=0, help="judgements to make and export; 0: none")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trueline-load-"))
    (folder / "trueline.toml").write_text(render(Config(project=ProjectConfig(scenario=""))))
    place = given.postgres or folder / "feedback.sqlite"
    with FeedbackStore.open(place) as store:
        fill(store, given.items)
        accounts = Accounts(store)
        for i in range(given.people):
            accounts.ensure(f"person {i}", "annotator")
        tokens = [accounts.token(f"person {i}", "load", "benchmark") for i in range(given.people)]
    server = Serving(folder, str(place))
    first = server.start("--no-worker")
    times = load(server, tokens, folder, given.seconds, given.think)
    assert server.process is not None
    memory = psutil.Process(server.process.pid).memory_info().rss / 1e6
    server.stop()
    found = {
        "store": "postgresql" if given.postgres else "sqlite",
        "items": given.items,
        "people": given.people,
        "think_s": given.think,
        "first_page_s": round(first, 2),
        "server_mb": round(memory),
        "next_n": len(times),
        "next_median_ms": round(1000 * times[len(times) // 2], 1),
        "next_p95_ms": round(1000 * times[int(0.95 * len(times))], 1),
    }
    if given.export:
        with FeedbackStore.open(place) as store:
            judged(store, given.export)
            started = time.monotonic()
            export(store, "judgements", folder / "out.jsonl")
            found["export_s"] = round(time.monotonic() - started, 2)
            found["exported"] = sum(1 for _ in (folder / "out.jsonl").open())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
