"""Many annotators at once, each a process; the server killed, the database stopped: nothing acknowledged is lost.

TRUELINE_LOAD=full: 32 people, 2,000 items and 50 kills, as docs/labelling.md reports; else a tenth of it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from serving import Serving

from trueline.config import Config, ProjectConfig, render
from trueline.feedback import queue_tables as q
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt

FULL = os.environ.get("TRUELINE_LOAD") == "full"
PEOPLE, ITEMS, KILLS, STOPS = (32, 2000, 50, 5) if FULL else (8, 100, 3, 2)
OVERLAP = 3
LABELLER = Path(__file__).with_name("labeller.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def load(place, tmp_path):
    """A project with items, a server and as many tokens as people."""
    (tmp_path / "trueline.toml").write_text(render(Config(project=ProjectConfig(scenario=""))))
    with FeedbackStore.open(place) as store:
        texts = [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(ITEMS) for j in range(2)]
        store.add(texts)
        add_items(store, unjudged(store), OVERLAP)
        accounts = Accounts(store)
        for i in range(PEOPLE):
            accounts.ensure(f"person {i}", "annotator")
        tokens = [accounts.token(f"person {i}", "load", "test") for i in range(PEOPLE)]
    server = Serving(tmp_path, str(place))
    server.start()
    yield server, tokens
    server.kill()


def start(server, tokens, folder):
    return [
        subprocess.Popen([sys.executable, str(LABELLER), str(server.port), token, str(i), str(folder / f"{i}.log")])
        for i, token in enumerate(tokens)
    ]


def wait(people):
    assert [p.wait(timeout=1500) for p in people] == [0] * len(people)


def check(place, folder):
    """Every item has the judgements that it wanted, by different people; all that was acknowledged is there."""
    acknowledged = [json.loads(line) for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    with FeedbackStore.open(place) as store:
        with store.engine.connect() as c:
            items = c.execute(sa.select(q.items)).all()
            rows = c.execute(sa.select(q.assignments).where(q.assignments.c.again == 0)).all()
            events = set(c.execute(sa.select(q.judgements.c.event)).scalars())
        labels = store.snapshot().comparisons
    judged = [(r.item_id, r.annotator) for r in rows if r.state == "judged"]
    by_item = {i.id: sum(item == i.id for item, _ in judged) for i in items} if len(items) < 500 else {}
    assert len(judged) == len(set(judged)) == ITEMS * OVERLAP and set(by_item.values()) <= {OVERLAP}
    assert all((i.judged, i.free) == (OVERLAP, 0) for i in items)
    assert len({(r.item_id, r.slot) for r in rows if r.slot is not None}) == ITEMS * OVERLAP
    assert {event for event, *_ in acknowledged} <= events
    assert len(labels) == ITEMS * OVERLAP
    return len(acknowledged)


def test_many_people_at_once(load, place, tmp_path):
    server, tokens = load
    started = time.monotonic()
    wait(start(server, tokens, tmp_path))
    seconds = time.monotonic() - started
    times = sorted(t for path in tmp_path.glob("*.times") for t in json.loads(path.read_text()))
    print(f"\n{check(place, tmp_path)} judgements by {PEOPLE} processes in {seconds:.1f} s; next: median "
          f"{1000 * times[len(times) // 2]:.0f} ms, p95 {1000 * times[int(len(times) * 0.95)]:.0f} ms")  # fmt: skip


def test_a_server_killed_again_and_again(load, place, tmp_path):
    server, tokens = load
    people, rng = start(server, tokens, tmp_path), random.Random(0)
    kills = 0
    while kills < KILLS and any(p.poll() is None for p in people):
        time.sleep(rng.uniform(0.2, 0.8))
        server.kill()
        server.start()
        kills += 1
    wait(people)
    print(f"\n{kills} kills: {check(place, tmp_path)} acknowledged judgements, all there")


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_the_database_stopped_and_started(load, place, tmp_path, postgres):
    server, tokens = load
    people, rng = start(server, tokens, tmp_path), random.Random(0)
    for i in range(STOPS):
        time.sleep(rng.uniform(0.3, 1.0))
        postgres.stop(signal.SIGQUIT if i % 2 else signal.SIGINT)
        time.sleep(0.3)
        postgres.start()
    wait(people)
    print(f"\n{check(place, tmp_path)} acknowledged judgements, all there")
