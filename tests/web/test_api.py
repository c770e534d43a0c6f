"""The REST API: what one may and may not do, by status; and that labels arrive as they were meant."""

import json
import subprocess
import sys

import pytest
from visitors import PASSWORD, judgement

from trueline.errors import InputError

KEY = {"Idempotency-Key": "k1"}


def test_a_task_is_judged_undone_and_judged_again(pages):
    anna = pages.client("Anna")
    task = anna.post("/api/v1/next").json()
    assert task["kind"] == "pair" and task["messages"][0]["content"].startswith("question")
    assert set(task) == {"id", "kind", "messages", "answers", "leased_until", "blurred", "draft"}
    assert set(task["answers"][0]) == {"id", "text"}  # nothing says whose answer it is
    path = f"/api/v1/tasks/{task['id']}"
    assert anna.put(f"{path}/draft", json={"content": {"rationale": "half"}}).status_code == 200
    assert anna.get(path).json()["draft"] == {"rationale": "half"}
    first = anna.post(f"{path}/judgement", json=judgement(task), headers=KEY)
    again = anna.post(f"{path}/judgement", json=judgement(task), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 200) and first.json()["event"] == again.json()["event"]
    assert anna.get("/api/v1/progress").json() == {"mine": 1, "mine_today": 1, "open": 3, "judged": 1, "wanted": 6}
    back = anna.post("/api/v1/undo", headers={"Idempotency-Key": "u"}).json()
    assert back["id"] == task["id"] and back["draft"]["preference"] == 2
    assert pages.site.store.snapshot().comparisons == ()
    assert anna.post(f"{path}/judgement", json=judgement(task), headers={"Idempotency-Key": "k2"}).status_code == 201
    assert len(pages.site.store.snapshot().ratings) == 6


def test_when_nothing_is_left(pages):
    anna = pages.client("Anna")
    for i in range(3):
        task = anna.post("/api/v1/next").json()
        headers = {"Idempotency-Key": f"k{i}"}
        assert anna.post(f"/api/v1/tasks/{task['id']}/judgement", json=judgement(task), headers=headers).is_success
    assert anna.post("/api/v1/next").status_code == 204


def test_refusals_have_the_right_status(pages):
    anna, ben, nobody = pages.client("Anna"), pages.client("Ben"), pages.client()
    task = anna.post("/api/v1/next").json()
    path = f"/api/v1/tasks/{task['id']}"
    said = judgement(task)
    assert ben.post(f"{path}/judgement", json=said, headers=KEY).status_code == 403  # another person's lease
    assert anna.get("/api/v1/tasks/999999").status_code == 404  # of no item here
    assert nobody.post("/api/v1/next").status_code == 401
    assert nobody.post("/api/v1/next", headers={"Authorization": "Bearer forged"}).status_code == 401
    del anna.headers["X-CSRF-Token"]
    assert anna.post("/api/v1/next").status_code == 403
    assert anna.post("/api/v1/next", headers={"X-CSRF-Token": "x" * 64}).status_code == 403
    viewer = pages.client("Vera", "viewer")
    assert viewer.post("/api/v1/next").status_code == 403 and viewer.get("/api/v1/progress").status_code == 200
    assert ben.get("/api/v1/review").status_code == 403 and ben.get("/api/v1/accounts").status_code == 403
    assert pages.site.store.snapshot().comparisons == ()


def test_what_is_missing_is_named(pages):
    anna = pages.client("Anna")
    task = anna.post("/api/v1/next").json()
    path = f"/api/v1/tasks/{task['id']}/judgement"
    said = judgement(task)
    del said["marks"][1]["safety"]
    found = anna.post(path, json=said, headers=KEY)
    assert found.status_code == 422 and found.json()["error"]["field"] == "marks.right.safety"
    for change in ({"preference": "2"}, {"shown": []}, {"rationale": "\0"}, {"rationale": "\ud800"}, {"more": 1}):
        body = json.dumps({**judgement(task), **change})
        assert anna.post(path, content=body, headers=KEY).status_code == 422, change
    assert anna.post(path, json=judgement(task)).status_code == 422  # no key
    conflict = (
        anna.post(path, json=judgement(task), headers=KEY),
        anna.post(path, json=judgement(task, -1), headers=KEY),
    )
    assert [r.status_code for r in conflict] == [201, 409]
    error = conflict[1].json()["error"]
    assert (error["stored"]["preference"], error["sent"]["preference"]) == (2, -1)


def test_tokens_act_for_their_account_and_end_when_revoked(pages):
    anna = pages.client("Anna")
    token = anna.post("/api/v1/tokens", json={"label": "my script"}).json()["token"]
    program = pages.client()
    program.headers["Authorization"] = f"Bearer {token}"
    assert program.get("/api/v1/me").json() == {"name": "Anna", "role": "annotator", "active": True}
    assert program.post("/api/v1/next").status_code == 200  # no CSRF token: no browser sends this header by itself
    [listed] = anna.get("/api/v1/tokens").json()
    assert token not in str(listed) and listed["label"] == "my script"
    assert pages.client("Ben").delete(f"/api/v1/tokens/{listed['id']}").status_code == 404
    assert anna.delete(f"/api/v1/tokens/{listed['id']}").status_code == 200
    assert program.get("/api/v1/me").status_code == 401


def test_an_invitation_makes_one_account_and_a_password_opens_it(pages):
    admin, guest = pages.client("Ada", "admin"), pages.client()
    path = admin.post("/api/v1/invitations", json={"role": "reviewer"}).json()["path"]
    form = {"invitation": path.partition("=")[2], "name": "Rita", "password": PASSWORD}
    assert guest.post("/join", data={**form, "password": "short"}).status_code == 422
    assert guest.post("/join", data={**form, "name": "Ada"}).status_code == 422  # taken
    assert guest.post("/join", data=form).status_code == 303
    assert guest.get("/api/v1/me").json()["role"] == "reviewer"
    other = pages.client()
    assert other.post("/join", data={**form, "name": "Rob"}).status_code == 422  # used
    assert other.post("/sign-in", data={"name": "Rita", "password": "wrong password"}).status_code == 403
    signed = other.post("/sign-in", data={"name": "Rita", "password": PASSWORD})
    cookie = signed.headers["set-cookie"].lower()
    assert signed.status_code == 303 and "httponly" in cookie and "samesite=lax" in cookie
    with pages.site.store.engine.connect() as c:
        everything = str(c.exec_driver_sql("SELECT * FROM secrets").all())
        everything += str(c.exec_driver_sql("SELECT * FROM accounts").all())
    assert PASSWORD not in everything and form["invitation"] not in everything


def test_a_one_time_link_works_once(pages):
    pages.site.accounts.ensure("Ada", "admin")
    link = f"/sign-in?token={pages.site.accounts.login_link('Ada')}"
    first, second = pages.client(), pages.client()
    assert first.get(link).status_code == 303 and first.get("/api/v1/me").json()["name"] == "Ada"
    assert second.get(link).status_code == 403 and second.get("/api/v1/me").status_code == 401


def test_guessing_passwords_is_slowed(pages):
    guest = pages.client()
    codes = [guest.post("/sign-in", data={"name": "Ada", "password": str(i)}).status_code for i in range(12)]
    assert codes[:10] == [403] * 10 and codes[10:] == [429] * 2


def test_a_program_that_asks_too_fast_is_slowed_and_nobody_else(pages):
    pages.app.state.requests.most = 5
    anna, ben = pages.client("Anna"), pages.client("Ben")
    found = [anna.get("/api/v1/me") for _ in range(6)]
    assert [f.status_code for f in found] == [200] * 5 + [429] and found[5].headers["retry-after"] == "2"
    assert ben.get("/api/v1/me").status_code == 200


def test_forms_from_other_sites_and_other_names_for_the_server_are_refused(pages):
    guest = pages.client()
    form = {"name": "Ada", "password": PASSWORD}
    assert guest.post("/sign-in", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert guest.get("/sign-in", headers={"Host": "evil.example"}).status_code == 421  # DNS rebinding


def test_every_answer_carries_the_policy_that_lets_no_foreign_script_run(pages):
    for path in ("/sign-in", "/api/v1/me", "/nothing"):
        found = pages.client().get(path)
        assert "script-src 'self'" in found.headers["content-security-policy"]
        assert found.headers["x-content-type-options"] == "nosniff"


def test_a_removed_person_is_out_and_their_labels_stay(pages):
    admin, anna = pages.client("Ada", "admin"), pages.client("Anna")
    task = anna.post("/api/v1/next").json()
    anna.post(f"/api/v1/tasks/{task['id']}/judgement", json=judgement(task), headers=KEY)
    before = pages.site.store.snapshot()
    assert admin.delete("/api/v1/accounts/Anna").status_code == 200
    assert anna.get("/api/v1/me").status_code == 401 and admin.delete("/api/v1/accounts/Anna").status_code == 404
    assert pages.site.store.snapshot().sha256 == before.sha256 and len(before.comparisons) == 1


def test_shut_accounts_are_out_and_the_last_admin_stays(pages):
    admin, anna = pages.client("Ada", "admin"), pages.client("Anna")
    assert admin.patch("/api/v1/accounts/Anna", json={"active": False}).status_code == 200
    assert anna.get("/api/v1/me").status_code == 401
    for change in ({"active": False}, {"role": "viewer"}):
        assert admin.patch("/api/v1/accounts/Ada", json=change).status_code == 409
    assert admin.delete("/api/v1/accounts/Ada").status_code == 409
    assert admin.get("/api/v1/me").json()["role"] == "admin"


def test_a_reviewer_commits_before_seeing_what_others_said(pages):
    rita = pages.client("Rita", "reviewer")
    for name, likes in (("Anna", "answer 0"), ("Ben", "answer 1")):
        client = pages.client(name)
        while (found := client.post("/api/v1/next")).status_code == 200:
            task = found.json()
            preference = -3 if task["answers"][0]["text"] == likes else 3
            said = judgement(task, preference if task["messages"][0]["content"] == "question 1" else 0, 3)
            headers = {"Idempotency-Key": f"k{task['id']}"}
            assert client.post(f"/api/v1/tasks/{task['id']}/judgement", json=said, headers=headers).is_success
    [item] = rita.get("/api/v1/review").json()
    assert item["disagreement"] == 1 and not item["mine"] and "preference" not in str(item)
    assert rita.get(f"/api/v1/review/{item['id']}").status_code == 403
    assert rita.post(f"/api/v1/review/{item['id']}/gold").status_code == 409
    task = rita.post(f"/api/v1/review/{item['id']}").json()
    assert rita.post(f"/api/v1/tasks/{task['id']}/judgement", json=judgement(task, 0, 3), headers=KEY).is_success
    said = rita.get(f"/api/v1/review/{item['id']}").json()
    assert sorted(s["annotator"] for s in said) == ["Anna", "Ben", "Rita"]
    assert {s["preference"] for s in said if s["annotator"] != "Rita"} == {-3, 3}
    assert rita.post(f"/api/v1/review/{item['id']}/gold").status_code == 200
    assert pages.client("Clara").post("/api/v1/next").json()["messages"] == task["messages"]  # gold: first, for all


def test_the_audit_log_grows_only_and_shows_what_was_changed(pages):
    admin = pages.client("Ada", "admin")
    admin.post("/api/v1/invitations", json={"role": "viewer"})
    pages.client("Anna")
    admin.patch("/api/v1/accounts/Anna", json={"role": "reviewer"})
    log = admin.get("/api/v1/audit-log").json()
    assert [e["action"] for e in log["entries"]] == ["change account", "invite"] and log["faults"] == []
    for statement in ("UPDATE audit_log SET who = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(Exception, match="append-only"), pages.site.store.engine.begin() as c:
            c.exec_driver_sql(statement)
    with pages.site.store.engine.begin() as c:  # somebody who owns the database goes round it
        trigger = "audit_log_update" if c.dialect.name == "sqlite" else "audit_log_only_grows ON audit_log"
        c.exec_driver_sql(f"DROP TRIGGER {trigger}")
        c.exec_driver_sql("UPDATE audit_log SET who = 'x' WHERE action = 'invite'")
    [fault] = admin.get("/api/v1/audit-log").json()["faults"]
    assert "changed" in fault


def test_names_that_would_hide_are_refused(pages):
    accounts = pages.site.accounts
    for name in ("", "   ", "a\u202eb", "x" * 101, "a\nb\u200b"):
        with pytest.raises(InputError, match="name"):
            accounts.accept(accounts.invite("viewer", "Ada"), name, PASSWORD)


def test_without_the_store_people_are_told_to_try_again(pages, monkeypatch):
    from sqlalchemy.exc import OperationalError

    anna = pages.client("Anna")

    def gone(*_):
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(type(pages.site.store.engine), "connect", gone)
    monkeypatch.setattr(type(pages.site.store.engine), "begin", gone)
    found = anna.post("/api/v1/next")
    assert found.status_code == 503 and found.headers["retry-after"] == "2"
    assert "server closed" not in found.text


def test_the_server_never_imports_torch_and_stays_small():
    code = (
        "import sys; from pathlib import Path\n"
        "import trueline.web.app, trueline.cli.serve, uvicorn\n"
        "print([m for m in ('torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'ray') if m in sys.modules])\n"
        "print(Path('/proc/self/status').read_text().split('VmRSS:')[1].split()[0])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert found[0] == "[]" and int(found[1]) < 150_000
