"""Data through the API: look first, import in the background, export; what another program is told."""

import csv
import hashlib
import hmac
import http.server
import io
import json
import threading
import time

import pytest
from visitors import judgement

from trueline.config import Config, LabellingConfig, ProjectConfig
from trueline.feedback import jobs
from trueline.loop.project import Project
from trueline.loop.working import Worker

ROWS = [
    {"prompt": "When do you open?", "a": "At nine.", "b": "=cmd()", "dimension": "quality", "preference": -2},
    {"prompt": "", "a": "x", "b": "y", "dimension": "quality", "preference": 1},
    {"prompt": "And on Sundays?"},
]
DATA = "\n".join(map(json.dumps, ROWS)).encode()


def wait(client, upload):
    for _ in range(100):
        found = client.get(f"/api/v1/imports/{upload}").json()
        if found["state"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("the import does not end")


def test_a_file_is_looked_into_then_imported_and_nothing_goes_in_twice(pages):
    admin = pages.client("Ada", "admin")
    before = pages.site.store.counts()
    seen = admin.post("/api/v1/imports", files={"file": ("x.jsonl", DATA)})
    assert seen.status_code == 201 and seen.json()["format"] == "jsonl"
    assert [r["messages"][0]["content"] for r in seen.json()["rows"]] == ["When do you open?", "And on Sundays?"]
    [error] = seen.json()["errors"]
    assert error["row"] == 2 and "prompt" in error["why"]
    assert pages.site.store.counts() == before
    upload = seen.json()["upload"]
    assert admin.post(f"/api/v1/imports/{upload}", json={"format": "jsonl"}).status_code == 202
    done = wait(admin, upload)
    assert done["state"] == "done" and done["added"]["prompts"] == 2 and "line 2" in done["errors"][0]
    again = admin.post("/api/v1/imports", files={"file": ("x.jsonl", DATA)}).json()["upload"]
    admin.post(f"/api/v1/imports/{again}", json={"format": "jsonl"})
    assert set(wait(admin, again)["added"].values()) == {0}
    assert admin.get("/api/v1/audit-log").json()["entries"][0]["action"] == "import"


def test_files_of_no_use_and_people_who_may_not_are_refused(pages):
    admin, anna = pages.client("Ada", "admin"), pages.client("Anna")
    for data in (b"", b"\x00\xff\xfe", b"not json", b"[" * 10_000):
        found = admin.post("/api/v1/imports", files={"file": ("../../x.jsonl", data)})
        assert found.status_code == 422 and str(pages.site.folder) not in found.text
    assert anna.post("/api/v1/imports", files={"file": ("x.jsonl", DATA)}).status_code == 403
    assert anna.get("/api/v1/export/judgements.jsonl").status_code == 403
    assert admin.post(f"/api/v1/imports/{'0' * 32}", json={"format": "jsonl"}).status_code == 404
    assert [p for p in pages.site.folder.rglob("*") if p.is_file() and p.suffix == ".jsonl"] == []


def test_exports(pages):
    anna, rita = pages.client("Anna"), pages.client("Rita", "reviewer")
    task = anna.post("/api/v1/next").json()
    said = {**judgement(task, 2), "rationale": "=1+1"}
    path = f"/api/v1/tasks/{task['id']}/judgement"
    assert anna.post(path, json=said, headers={"Idempotency-Key": "k"}).status_code == 201
    [row] = map(json.loads, rita.get("/api/v1/export/judgements.jsonl").text.splitlines())
    assert row["annotator"] == "Anna" and row["preference"] == 2 and row["rationale"] == "=1+1"
    [cells] = csv.DictReader(io.StringIO(rita.get("/api/v1/export/judgements.csv").text))
    assert cells["rationale"] == "'=1+1"  # no spreadsheet computes it
    [pair] = map(json.loads, rita.get("/api/v1/export/preferences.jsonl").text.splitlines())
    better = task["answers"][1]["text"]
    assert pair["chosen"] == better or pair["chosen"][-1]["content"] == better
    assert pair["strength"] == 2 and pair["weight"] == 1


@pytest.fixture
def receiver():
    """Another program, which refuses the first try."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()


def test_a_webhook_is_told_signed_and_again_where_it_was_not_taken(pages, receiver, monkeypatch):
    url, got = receiver
    monkeypatch.setenv("TRUELINE_WEBHOOK_SECRET", "s3cret")
    monkeypatch.setattr("trueline.loop.webhooks.WAITS", (0.01,))
    config = Config(project=ProjectConfig(scenario=""), labelling=LabellingConfig(webhook=url, again=0))
    object.__setattr__(pages.site, "config", config)
    anna = pages.client("Anna")
    task = anna.post("/api/v1/next").json()
    path, key = f"/api/v1/tasks/{task['id']}/judgement", {"Idempotency-Key": "k"}
    for _ in range(2):  # the network asked twice: one event
        assert anna.post(path, json=judgement(task), headers=key).is_success
    Worker(Project(pages.site.folder, config), pages.site.store).run(once=True)
    assert len(got) == 2 and got[0][1] == got[1][1]
    headers, body = got[1]
    signed = f"{headers['X-Trueline-Timestamp']}.".encode() + body
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert headers["X-Trueline-Signature"] == f"sha256={expected}"
    assert json.loads(body)["annotator"] == "Anna" and json.loads(body)["preference"] == 2


def test_a_job_whose_worker_went_silent_is_taken_again_and_given_up_after_three(store):
    jobs.ask(store, "answer", {"messages": []}, "Anna", 0.0)
    for now in (0.0, 200.0, 400.0):
        assert jobs.take(store, now, 100.0) is not None
        assert jobs.take(store, now + 50, 100.0) is None
    assert jobs.take(store, 600.0, 100.0) is None
    assert jobs.find(store, 1).state == "failed"


def test_a_chat_is_answered_twice_and_the_better_answer_goes_on(pages, tiny_folder):
    config = Config(project=ProjectConfig(scenario=""), policy={"model": str(tiny_folder), "max_new_tokens": 6})
    anna, ben = pages.client("Anna"), pages.client("Ben")
    said = {"messages": [{"role": "user", "content": "hello"}]}
    job = anna.post("/api/v1/chats", json=said).json()["job"]
    assert anna.get(f"/api/v1/chats/{job}").json()["state"] == "waiting"
    assert ben.get(f"/api/v1/chats/{job}").status_code == 404
    Worker(Project(pages.site.folder, config), pages.site.store).run(once=True)
    found = anna.get(f"/api/v1/chats/{job}").json()
    assert found["state"] == "done" and found["chosen"] is None, found
    task = found["task"]
    assert len({a["text"] for a in task["answers"]}) == 2
    path = f"/api/v1/tasks/{task['id']}/judgement"
    assert anna.post(path, json=judgement(task, -1), headers={"Idempotency-Key": "k"}).status_code == 201
    assert anna.get(f"/api/v1/chats/{job}").json()["chosen"] == task["answers"][0]["text"]
    for bad in ([], [{"role": "assistant", "content": "x"}], [{"role": "user", "content": " "}]):
        assert anna.post("/api/v1/chats", json={"messages": bad}).status_code == 422
