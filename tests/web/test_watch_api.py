"""The watch pages' API over fabricated run folders, the streams through a real server."""

import http.client
import json
import os
import signal
import threading
import time

import pytest
import uvicorn
from visitors import Pages

from trueline.config import Config
from trueline.web import runs
from trueline.web.api import watch
from trueline.web.app import create_app
from trueline.web.site import Site

EVIL = "<img src=x onerror=alert(1)> \ud800 {{7*7}}"
SAMPLE = {"prompt": "p", "before": "b", "after": "a", "scores_before": {"quality": 0.5}, "scores_after": {}}


def line(step, **more):
    return json.dumps({"step": step, "reward": step / 2, "kl": 0.1, "warnings": [], **more}) + "\n"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def config(steps=10, scenario="", limit=0.05, held=""):
    constraint = {"dimension": held, "limit": limit}
    project = {"scenario": scenario, "dimensions": ["quality", "safety"]}
    return {"project": project, "align": {"algorithm": "rloo", "steps": steps, "constraint": constraint}}


def age(path, seconds):
    """As if nothing in the folder had changed for so long."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (time.time() - seconds,) * 2)


@pytest.fixture
def pages(file_store, tmp_path):
    site = Site(file_store, Config(), tmp_path)
    return Pages(site, create_app(site))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def vera(pages):
    return pages.client("Vera", "viewer")


@pytest.fixture
def stream(pages, vera):
    """stream("name") opens its events and returns next(): the next (event, content); comments are events named ":"."""
    server = uvicorn.Server(uvicorn.Config(pages.app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    opened = []

    def open_(name, wanted=200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        cookie = f"trueline_session={vera.cookies['trueline_session']}"
        connection.request("GET", f"/api/v1/runs/{name}/events", headers={"Cookie": cookie})
        answer = connection.getresponse()
        opened.append(answer)
        assert answer.status == wanted, answer.read()

        def next_():
            found = iter(lambda: answer.readline().decode().rstrip("\n"), "")
            parts = dict(part.partition(": ")[::2] for part in found)
            return (parts["event"], json.loads(parts["data"])) if "event" in parts else (":", None)

        next_.answer, next_.close = answer, lambda: (answer.close(), connection.close())
        return next_

    yield open_
    for answer in opened:
        answer.close()
    server.should_exit = server.force_exit = True
    thread.join(10)
    assert not thread.is_alive()


def test_runs_are_listed_newest_first_with_their_state(place, vera):
    assert vera.get("/api/v1/runs").json() == []
    for name in ("old", "done", "going", "looping"):
        write(place / name / "run.json", {"kind": "align", "config": config(10)})
        write(place / name / "metrics.jsonl", line(1) + line(2) + '{"step": 3')
    write(place / "looping" / "run.json", {"kind": "loop", "rounds": 3, "config": config(10)})
    write(place / "looping" / "round-01" / "align" / "metrics.jsonl", line(10))
    write(place / "looping" / "round-02" / "align" / "run.json", {"kind": "align", "config": config(20)})
    write(place / "looping" / "round-02" / "align" / "metrics.jsonl", line(4))
    write(place / "done" / "policy" / "config.json", {})
    write(place / ".pending-x" / "run.json", {"kind": "align"})
    write(place / "no-run" / "notes.txt", "")
    write(place / "broken" / "run.json", '{"kind": "align", ')
    age(place / "old", 100)
    found = {r["name"]: r for r in vera.get("/api/v1/runs").json()}
    assert {n: r["state"] for n, r in found.items()} == {
        "looping": "running", "going": "running", "done": "finished", "old": "stopped",
    }  # fmt: skip
    assert (found["going"]["steps"], found["going"]["planned"]) == (2, 10)
    assert (found["looping"]["steps"], found["looping"]["planned"]) == (14, 10 + 20 + 20)
    assert (found["looping"]["round"], found["looping"]["rounds"]) == (2, 3)


def test_newest_first_is_by_when_a_run_began(place, vera):
    for name, began in (("b", 2000), ("a", 3000), ("c", 1000)):
        write(place / name / "run.json", {"kind": "align", "config": config()})
        os.utime(place / name / "run.json", (began,) * 2)
    assert [r["name"] for r in vera.get("/api/v1/runs").json()] == ["a", "b", "c"]


def test_everything_of_a_loop(place, vera):
    loop = place / "loop-1"
    write(loop / "run.json", {"kind": "loop", "rounds": 2, "config": config(held="safety", limit=0.2)})
    write(loop / "round-00" / "answers.json", {})  # the base policy's answers: no round of its own
    rows = line(1, warnings=["look"], reward=float("nan"), note="text") + line(2, judge=0.5, reward_quality=True)
    write(loop / "round-01" / "align" / "metrics.jsonl", rows)
    gate = {"name": "kl", "passed": True, "text": EVIL}
    change = {
        "setting": "align.steps", "before": 10, "after": [20], "rule": "r", "evidence": "e", "expects": "x",
    }  # fmt: skip
    check = {"rule": "r", "expected": "more", "found": 0.25, "held": False}
    decision = {"round": 1, "promoted": True, "gates": [gate, 5], "changes": [change], "checks": [check], "stop": ""}
    write(loop / "round-01" / "decision.json", decision)
    interval = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    metrics = {"quality": {"before": interval, "after": None, "change": "no"}}
    report = {"title": EVIL, "judge": "j", "simulated": True, "metrics": metrics, "samples": [SAMPLE] * 3}
    write(loop / "round-01" / "report" / "report.json", report)
    found = vera.get("/api/v1/runs/loop-1").json()
    [part] = found["parts"]
    assert part["rows"] == [{"step": 1, "reward": None, "kl": 0.1}, {"step": 2, "reward": 1.0, "kl": 0.1, "judge": 0.5}]
    assert found["warnings"] == [{"round": 1, "step": 1, "text": "look"}]
    shown = EVIL.replace("\ud800", "?")
    assert part["decision"]["gates"] == [{**gate, "text": shown}] and part["decision"]["changes"] == [change]
    assert part["decision"]["checks"] == [check] and part["decision"]["promoted"] is True
    assert part["report"]["metrics"] == {"quality": {"before": interval, "after": None, "change": None}}
    assert (part["report"]["title"], part["report"]["answers"], part["limit"]) == (shown, 3, 0.2)
    assert found["dimensions"] == ["quality", "safety"] and found["report"] is None
    assert found["simulated"] is True


def test_who_labelled_is_said_where_it_was_simulated(place, vera):
    expected = {}
    for name, scenario, by in (
        ("a", "customer_service", "simulated"),
        ("b", "customer_service", "people"),
        ("c", "", "simulated"),
    ):
        settings = {**config(scenario=scenario), "collect": {"labelled_by": by}}
        write(place / name / "run.json", {"kind": "align", "config": settings})
        expected[name] = bool(scenario) and by == "simulated"
    assert {name: vera.get(f"/api/v1/runs/{name}").json()["simulated"] for name in expected} == expected


def test_rows_are_thinned_without_losing_an_end_a_warning_or_a_rare_figure(place, vera):
    rare = {i: {"judge": i} for i in range(1, 5002, 50)} | {777: {"warnings": ["w"]}}
    rows = [line(i, **rare.get(i, {})) for i in range(1, 5002)]
    write(place / "long" / "run.json", {"kind": "align", "config": config(5001)})
    write(place / "long" / "metrics.jsonl", "".join(rows))
    found = vera.get("/api/v1/runs/long").json()
    steps = [row["step"] for row in found["parts"][0]["rows"]]
    assert len(steps) == 500 and (steps[0], steps[-1]) == (1, 5001)
    assert steps == sorted(steps) and max(b - a for a, b in zip(steps, steps[1:], strict=False)) <= 12
    judged = [(row["step"], row["judge"]) for row in found["parts"][0]["rows"] if "judge" in row]
    assert len(judged) == 101 and all(0 <= step - judge < 12 for step, judge in judged)
    assert found["warnings"] == [{"round": 1, "step": 777, "text": "w"}]


@pytest.mark.parametrize(
    "junk",
    [
        "", "null", "[]", '{"kind": []}', '{"kind": "loop", "rounds": "x", "config": 3}', "[" * 100_000,
        '{"kind": "align", "config": {"align": {"steps": 1e999, "constraint": {"dimension": "s", "limit": 1e400}}}}',
        '{"kind": "align", "config": {"align": {"steps": -1}, "project": {"dimensions": [1, null]}}}',
        '{"kind": "align", "rounds": ' + "9" * 4000 + "}",
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_should_be_do_no_harm(place, vera, junk):
    write(place / "x" / "run.json", junk)
    for path in ("report/report.json", "round-01/report/report.json", "round-01/decision.json"):
        write(place / "x" / path, junk)
    for path in ("metrics.jsonl", "round-01/align/metrics.jsonl"):
        write(place / "x" / path, f'{junk}\n{{"step": true}}\n{{"step": 1, "kl": 1{"0" * 500}}}\n\xff\n')
    assert vera.get("/api/v1/runs").status_code == 200
    assert vera.get("/api/v1/runs/x").status_code in (200, 404)
    assert vera.get("/api/v1/runs/x/answers").status_code in (200, 404)


@pytest.mark.parametrize("name", ["..", "..%2f..%2fetc", "a b", "%00", ".pending-run", "link", "x" * 300, "é"])
def test_what_is_no_run_is_not_found(place, vera, name, tmp_path):
    for folder in (tmp_path / "secret", tmp_path, place / ".pending-run"):
        write(folder / "run.json", {"kind": "align", "config": config()})
    (place / "link").symlink_to(tmp_path / "secret")
    assert vera.get("/api/v1/runs").json() == []
    for path in ("", "/answers", "/events"):
        assert vera.get(f"/api/v1/runs/{name}{path}").status_code == 404
    assert vera.get("/api/v1/runs/unknown").status_code == 404


def test_one_has_to_be_somebody(pages, place):
    write(place / "a" / "run.json", {"kind": "align", "config": config()})
    for path in ("", "/a", "/a/answers", "/a/events", "/../a/events"):
        assert pages.client().get(f"/api/v1/runs{path}").status_code in (401, 404)
    assert pages.client("Vera", "viewer").get("/api/v1/runs/a").status_code == 200
    assert pages.client("Vera", "viewer").get("/watch").status_code == 200


def test_the_gallery_goes_by_round_and_page(place, vera):
    write(place / "l" / "run.json", {"kind": "loop", "rounds": 1, "config": config()})
    samples = [{**SAMPLE, "prompt": f"{i} {EVIL}", "flagged_after": i == 0} for i in range(23)]
    write(place / "l" / "round-01" / "report" / "report.json", {"samples": samples, "metrics": {}})
    first = vera.get("/api/v1/runs/l/answers?round=1&page=1").json()
    last = vera.get("/api/v1/runs/l/answers?round=1&page=3").json()
    assert (first["pages"], first["total"], len(first["rows"]), len(last["rows"])) == (3, 23, 10, 3)
    assert first["rows"][0]["prompt"] == "0 " + EVIL.replace("\ud800", "?")
    assert [r["flagged_after"] for r in first["rows"]] == [True] + [False] * 9
    assert first["rows"][0]["scores_before"] == {"quality": 0.5}
    assert vera.get("/api/v1/runs/l/answers?round=1&page=4").json()["rows"] == []
    assert vera.get("/api/v1/runs/l/answers?round=2").status_code == 404
    assert vera.get("/api/v1/runs/l/answers?round=0").status_code == 404  # the loop's own report is not there yet
    assert vera.get("/api/v1/runs/l/answers?page=0").status_code == 422


def test_steps_arrive_as_they_are_written_and_a_torn_one_when_it_is_whole(place, stream):
    run = place / "live"
    write(run / "run.json", {"kind": "align", "config": config()})
    write(run / "metrics.jsonl", line(1))
    next_ = stream("live")
    assert next_.answer.headers["content-type"].startswith("text/event-stream")
    name, state = next_()
    assert name == "state" and [r["step"] for r in state["parts"][0]["rows"]] == [1]
    with open(run / "metrics.jsonl", "a") as journal:
        journal.write(line(2, kl=0.25, warnings=["w"]) + line(3)[:20])
        journal.flush()
        kind, told = next_()
        assert (kind, told["round"], told["row"]["step"], told["row"]["kl"]) == ("step", 1, 2, 0.25)
        assert told["row"]["warnings"] == ["w"]
        time.sleep(2.2)  # two looks at half a line
        journal.write(line(3)[20:])
        journal.flush()
    assert next_() == ("step", {"round": 1, "row": json.loads(line(3))})


def test_a_loop_that_starts_later_tells_its_rounds_decisions_and_end(place, stream):
    next_ = stream("later")
    name, state = next_()
    assert (name, state["state"], state["parts"]) == ("state", "waiting", [])
    loop = place / "later"
    write(loop / "run.json", {"kind": "loop", "rounds": 1, "config": config()})
    name, state = next_()
    assert (name, state["kind"], state["state"]) == ("state", "loop", "running")
    write(loop / "round-01" / "align" / "metrics.jsonl", line(1))
    name, step = next_()
    assert (name, step["round"], step["row"]["step"]) == ("step", 1, 1)
    write(loop / "round-01" / "decision.json", {"promoted": False, "stop": "enough"})
    name, told = next_()
    assert (name, told["round"], told["decision"]["stop"]) == ("decision", 1, "enough")
    write(loop / "report" / "report.json", {"judge": "j", "metrics": {}})
    assert next_()[1]["round"] == 0
    name, told = next_()
    assert (name, told["state"]) == ("status", "finished")


def test_a_journal_that_was_written_anew_is_told_anew(place, stream):
    run = place / "resumed"
    write(run / "run.json", {"kind": "align", "config": config()})
    write(run / "metrics.jsonl", line(1) + line(2) + line(3))
    next_ = stream("resumed")
    next_()
    write(run / "new", line(1) + line(2, kl=9.0))
    os.rename(run / "new", run / "metrics.jsonl")  # as the journal does when a run goes on from a checkpoint
    name, state = next_()
    assert name == "state" and [(r["step"], r["kl"]) for r in state["parts"][0]["rows"]] == [(1, 0.1), (2, 9.0)]


def test_a_silent_stream_beats_and_one_that_lasted_long_ends(place, stream, monkeypatch):
    monkeypatch.setattr(watch, "HEARTBEAT", 1.0)
    monkeypatch.setattr(watch, "LONGEST", 4.0)
    write(place / "calm" / "run.json", {"kind": "align", "config": config()})
    next_ = stream("calm")
    assert [next_()[0] for _ in range(2)] == ["state", ":"]
    while next_.answer.readline():
        pass  # the server's end: no timeout


def test_streams_are_bounded_hold_up_nobody_and_are_given_back(pages, place, stream, monkeypatch, vera):
    monkeypatch.setattr(watch, "MOST_STREAMS", 3)
    write(place / "a" / "run.json", {"kind": "align", "config": config()})
    opened = [stream("a") for _ in range(3)]
    for next_ in opened:
        assert next_()[0] == "state"
    refused = stream("a", wanted=503)
    assert int(refused.answer.headers["retry-after"]) > 0 and "error" in json.loads(refused.answer.read())
    opened[0].close()
    end = time.monotonic() + 10
    while pages.app.state.streams > 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert stream("a")()[0] == "state"


def test_many_open_streams_take_no_thread_from_requests(pages, place, stream):
    write(place / "a" / "run.json", {"kind": "align", "config": config()})
    opened = [stream("a") for _ in range(watch.MOST_STREAMS)]  # more than the server has threads
    for next_ in opened:
        assert next_()[0] == "state"
    port = opened[0].answer.fp.raw._sock.getpeername()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    began = time.monotonic()
    connection.request("GET", "/sign-in")
    assert connection.getresponse().status == 200 and time.monotonic() - began < 3


def test_open_streams_do_not_keep_the_server_from_ending(monkeypatch):
    server = uvicorn.Server(uvicorn.Config(lambda: None))
    monkeypatch.setattr(signal, "getsignal", lambda number: server.handle_exit)
    assert not watch._ending()
    server.should_exit = True
    assert watch._ending()


def test_the_last_row_is_found_at_the_end_of_a_long_journal(tmp_path):
    write(tmp_path / "metrics.jsonl", "".join(line(i) for i in range(1, 3001)) + '{"step": 3001, "to')
    assert runs.last_row(tmp_path / "metrics.jsonl")["step"] == 3000
