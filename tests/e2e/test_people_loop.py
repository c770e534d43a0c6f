"""Labels that are made on the pages: a loop waits for them, a reward learns from them, a program reads them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import start, trueline
from serving import Serving

from trueline.client import Client
from trueline.config import LabellingConfig, ProjectConfig, render
from trueline.errors import InputError, RunError
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt

pytestmark = pytest.mark.slow
LABELLER = Path(__file__).with_name("labeller.py")


def tokens(store, n):
    accounts = Accounts(store)
    for i in range(n):
        accounts.ensure(f"person {i}", "reviewer")
    return [accounts.token(f"person {i}", "test", "test") for i in range(n)]


def test_a_loop_waits_for_people_and_ends_when_they_have_labelled(tmp_path, small_config):
    labelling = LabellingConfig(judgements=2, again=0)
    config = small_config.model_copy(update={"labelling": labelling})
    (tmp_path / "trueline.toml").write_text(render(config))
    loop = start("loop", "-p", tmp_path, "--rounds", 1, "--annotators", "people", "--name", "l")
    place = tmp_path / "feedback.sqlite"
    until = time.monotonic() + 120
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.2)
    server = Serving(tmp_path)
    server.start("--no-worker")
    with FeedbackStore.open(place) as store:
        secrets = tokens(store, 4)
        while not store.counts()["completions"] and time.monotonic() < until:
            time.sleep(0.2)
    log = tmp_path / "l.log"
    while loop.poll() is None and time.monotonic() < until:
        people = [
            subprocess.Popen([sys.executable, str(LABELLER), str(server.port), t, str(i), str(log)])
            for i, t in enumerate(secrets)
        ]
        assert [p.wait(100) for p in people] == [0] * 4
        time.sleep(0.5)
    out, err = loop.communicate(timeout=60)
    server.stop()
    assert loop.returncode == 0, err
    assert "waiting for people" in out and "simulated annotators" not in out
    assert (tmp_path / "runs" / "l" / "report" / "report.html").exists()
    snapshot = FeedbackStore.open(place).snapshot()
    assert not any(a.simulated for a in snapshot.annotators) and len(snapshot.annotators) == 4
    learned = trueline("reward", "-p", tmp_path, "--json")  # the same labels, by one command
    assert learned.code == 0, learned.err


@pytest.fixture
def served(tmp_path):
    config = {"project": ProjectConfig(scenario=""), "labelling": LabellingConfig(judgements=1, again=0)}
    from trueline.config import Config

    (tmp_path / "trueline.toml").write_text(render(Config(**config)))
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        for i in range(2):
            store.add([Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for j in range(2)])
        add_items(store, unjudged(store), 1)
        [token] = tokens(store, 1)
    server = Serving(tmp_path)
    server.start("--no-worker")
    yield server, token
    server.stop()


def test_the_client_labels_undoes_and_exports(served, tmp_path):
    server, token = served
    client = Client(f"http://127.0.0.1:{server.port}", token)
    marks = [{"quality": 4, "safety": 5, "consistency": None}] * 2
    done = []
    while task := client.next():
        assert not client.judge(task, preference=-1, marks=marks, rationale="为什么")["repeated"]
        done.append(task["id"])
    assert len(done) == 2 and client.progress()["mine"] == 2
    assert client.undo()["draft"]["rationale"] == "为什么"
    task = client.next()
    with pytest.raises(InputError, match=r"marks\.left\.quality"):
        client.judge(task, preference=0)
    client.judge(task, preference=0, marks=marks)
    client.export("judgements.jsonl", tmp_path / "out.jsonl")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert kinds == ["judge", "judge", "undo", "judge"]
    assert client.quality()["judgements"] == 2
    with pytest.raises(InputError, match="sign in"):
        Client(client.address, "wrong").next()
    with pytest.raises(RunError, match="trueline serve"):
        Client("http://127.0.0.1:9", token).next()
