"""The pages beside the label page in a real Chromium: review, quality, data, people, joining, signing in, the chat.

TRUELINE_SHOTS: a folder for screenshots.
"""

import json
import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from serving import Serving

from trueline.config import Config, LabellingConfig, PolicyConfig, ProjectConfig, render
from trueline.feedback import queue_tables as q
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.labelling.judging import submit
from trueline.feedback.labelling.queue import Queue
from trueline.feedback.labelling.records import Judgement
from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt

pytestmark = pytest.mark.slow
LABELLING = LabellingConfig(judgements=2, most=2, again=0, lease=10)
SAID = {"Anna": 2, "Ben": -2}  # of every first answer against the second
EVIL = "<img src=x onerror=alert(1)>"
ALL_MARKS = "q 4 s 5 c 4 Tab q 2 s 3 c 3"


def shot(page, name):
    if folder := os.environ.get("TRUELINE_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def press(page, keys):
    for key in keys.split():
        page.keyboard.press(key)


@pytest.fixture
def served(tmp_path):
    """A running server; three requests that Anna and Ben judged in opposite ways, and an admin named Rita."""
    (tmp_path / "trueline.toml").write_text(render(Config(project=ProjectConfig(scenario=""), labelling=LABELLING)))
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        for i in range(3):
            prompt = Prompt.from_user(f"question {i} {EVIL}")
            store.add(Exchange.of(prompt, f"answer {j} to {i} {EVIL}") for j in range(2))
        add_items(store, unjudged(store), 2)
        queue, dimensions = Queue(store, LABELLING), ("quality", "safety", "consistency")
        for person, preference in SAID.items():
            while task := queue.claim(person):
                first = task.answers[0].text.startswith("answer 0")
                said = Judgement(
                    tuple(a.id for a in task.answers), preference if first else -preference,
                    marks=(dict.fromkeys(dimensions, 4),) * 2, reasons=("clearer",), rationale=EVIL, seconds=12.0,
                )  # fmt: skip
                submit(queue, task.id, person, said, f"{person}-{task.id}", dimensions)
        accounts = Accounts(store)
        accounts.ensure("Rita", "admin")
        secret = accounts.login_link("Rita")
    server = Serving(tmp_path)
    server.start("--no-worker")
    server.links = {"Rita": f"http://127.0.0.1:{server.port}/sign-in?token={secret}"}
    yield server
    server.stop()


@pytest.fixture
def rita(served, visitor):
    page = visitor()
    page.goto(served.links["Rita"])
    page.address = f"http://127.0.0.1:{served.port}"
    return page


def store_of(served):
    return FeedbackStore.open(served.project / "feedback.sqlite")


def test_a_reviewer_judges_first_then_sees_the_others_and_makes_gold(served, rita):
    rita.goto(f"{rita.address}/review")
    rows = rita.locator("#rows tr")
    rows.first.wait_for()
    assert rows.count() == 3 and rita.locator("#rows img").count() == 0
    assert "answer" not in rows.first.inner_text()  # nothing of what the others said
    shot(rita, "review")
    request = rows.first.locator("td").first.inner_text()
    rows.first.get_by_role("button", name="Judge it").click()
    rita.get_by_test_id("answer-0").wait_for()
    assert rita.get_by_test_id("prompt").inner_text() == request
    press(rita, f"{ALL_MARKS} 2 Enter")
    rita.wait_for_url("**/review")
    rita.get_by_role("button", name="See what was said").click()
    said = rita.locator("#said-rows tr")
    said.first.wait_for()
    assert sorted(name.split("\t")[0] for name in said.all_inner_texts()) == ["Anna", "Ben", "Rita"]
    assert rita.locator("#said-rows img").count() == 0
    shot(rita, "review_said")
    rita.locator("#gold").click()
    rita.locator("#said").wait_for(state="hidden")
    with store_of(served) as store, store.engine.connect() as c:
        [gold] = c.execute(sa.select(q.items.c.gold).where(q.items.c.gold.is_not(None))).scalars()
    assert abs(gold["preference"]) == 2 and gold["by"] == "Rita"
    rita.goto(f"{rita.address}/quality")
    rita.locator("#people tr").nth(2).wait_for()
    scores = {row.split("\t")[0]: row.split("\t")[3] for row in rita.locator("#people tr").all_inner_texts()}
    assert sorted([scores["Anna"], scores["Ben"]]) == ["0% (1)", "100% (1)"]
    assert scores["Rita"] == "–"  # she is no measure of herself


def test_the_quality_page_shows_agreement_and_a_row_for_each_person(rita):
    rita.goto(f"{rita.address}/quality")
    rita.locator("#people tr").first.wait_for()
    assert rita.locator("#people tr").count() == 2
    preference, quality = rita.locator("#alphas > span").all_inner_texts()[1:4:2]
    assert float(preference.split()[0]) < 0  # they say the opposite everywhere
    assert quality == "–"  # all marks are 4: there is nothing to agree or disagree on
    assert "(3)" in rita.locator("#matrix").inner_text()
    shot(rita, "quality")


def test_the_data_page_looks_into_a_file_and_imports_it(served, rita, tmp_path):
    rows = [
        {"prompt": f"new question {i} {EVIL}", "a": f"yes {i} {EVIL}", "b": f"no {i}", "preference": -2,
         "dimension": "quality", "annotator": "Zoe"}
        for i in range(5)
    ]  # fmt: skip
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    rita.goto(f"{rita.address}/data")
    rita.locator("#file").set_input_files(path)
    rita.get_by_role("button", name="Look first").click()
    rita.locator("#sample tr").first.wait_for()
    assert rita.locator("#sample tr").count() == 5 and rita.locator("#sample img").count() == 0
    assert "yes 0" in rita.locator("#sample tr").first.inner_text()
    assert "-2" in rita.locator("#sample tr").first.inner_text()
    assert "6" in rita.locator("#errors").inner_text()
    shot(rita, "data")
    with store_of(served) as store:
        assert store.counts()["prompts"] == 3  # looking changed nothing
    rita.locator("#import").click()
    rita.wait_for_function("() => /Imported/.test(document.getElementById('status').textContent)", timeout=20_000)
    with store_of(served) as store:
        assert store.counts()["prompts"] == 8
    with rita.expect_download() as download:
        rita.get_by_role("link", name="Judgements, as they were said (JSONL)").click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(lines) == 6 and {json.loads(line)["rationale"] for line in lines} == {EVIL}


def test_somebody_is_invited_joins_signs_out_and_in_again(served, rita, visitor):
    rita.goto(f"{rita.address}/people")
    rita.locator("#role").select_option("annotator")
    rita.get_by_role("button", name="Make a link").click()
    rita.get_by_test_id("link").wait_for()
    rita.wait_for_function("() => document.getElementById('link').value !== ''")
    link = rita.get_by_test_id("link").input_value()
    clara = visitor(locale="zh-CN")
    clara.goto(link)
    shot(clara, "join_zh")
    clara.locator("#name").fill("Clara")
    clara.locator("#password").fill("correct horse battery")
    clara.get_by_role("button", name="加入").click()
    clara.locator(".who").wait_for()
    assert clara.locator(".who").inner_text() == "Clara"
    assert clara.locator("nav.pages a").count() == 2  # label and chat: no more is an annotator's
    clara.goto(f"{rita.address}/people")
    shot(clara, "refused_zh")
    assert clara.locator("#accounts").count() == 0
    clara.locator("form[action='/sign-out'] button").click()
    clara.locator("#password").wait_for()
    shot(clara, "sign_in_zh")
    clara.locator("#name").fill("Clara")
    clara.locator("#password").fill("wrong horse battery")
    clara.locator("main button").click()
    clara.get_by_test_id("error").wait_for()
    clara.locator("#name").fill("Clara")
    clara.locator("#password").fill("correct horse battery")
    clara.locator("main button").click()
    clara.locator(".who").wait_for()
    other = visitor()
    other.goto(link)  # it works once
    other.locator("#name").fill("David")
    other.locator("#password").fill("correct horse battery")
    other.get_by_role("button", name="Join").click()
    other.get_by_test_id("error").wait_for()
    rita.reload()
    rita.wait_for_function("() => /Clara/.test(document.getElementById('log').textContent)")
    with rita.expect_response(lambda response: response.request.method != "GET") as said:
        rita.get_by_role("combobox", name="Role: Clara").select_option("reviewer")
    assert said.value.ok
    shot(rita, "people")
    with store_of(served) as store:
        assert {a.name: a.role for a in Accounts(store).all()}["Clara"] == "reviewer"
    rita.on("dialog", lambda d: d.accept())
    rita.locator("#accounts tr", has_text="Clara").get_by_role("button", name="Remove").click()
    rita.wait_for_function("() => !/Clara/.test(document.getElementById('accounts').textContent)")


def test_a_lease_is_renewed_while_somebody_is_at_work(served, rita):
    with store_of(served) as store:
        prompt = Prompt.from_user("a long one")
        store.add(Exchange.of(prompt, f"answer {j}") for j in range(2))
        add_items(store, unjudged(store), 1)
    rita.goto(rita.address)
    rita.get_by_test_id("answer-0").wait_for()

    def until():
        with store_of(served) as store, store.engine.connect() as c:
            query = sa.select(q.assignments.c.leased_until).where(q.assignments.c.annotator == "Rita")
            return c.execute(query).scalar_one()

    first, end = until(), time.monotonic() + 14
    while time.monotonic() < end:  # longer than the lease of 10 s
        rita.mouse.move(200 + 50 * (time.monotonic() % 2), 300)
        rita.wait_for_timeout(400)
    assert until() > first + 8 and until() > time.time()
    with store_of(served) as store:
        assert Queue(store, LABELLING).claim("Ben") is None  # nobody else got the place


def test_a_chat_with_the_policy_goes_on_with_the_better_answer(tmp_path, tiny_folder, visitor):
    policy = PolicyConfig(model=str(tiny_folder), max_new_tokens=12)
    config = Config(project=ProjectConfig(scenario=""), policy=policy, labelling=LABELLING)
    (tmp_path / "trueline.toml").write_text(render(config))
    server = Serving(tmp_path)
    server.start()
    page = visitor()
    page.goto(server.link)
    address = f"http://127.0.0.1:{server.port}"
    page.goto(f"{address}/chat")
    page.locator("#message").fill("hello we will")
    page.locator("#send").click()
    page.get_by_test_id("judge").wait_for(timeout=60_000)
    answers = page.locator("#two .card").all_inner_texts()
    assert len(answers) == 2 and answers[0] != answers[1]
    shot(page, "chat")
    page.get_by_test_id("judge").click()
    page.get_by_test_id("answer-0").wait_for()
    press(page, f"{ALL_MARKS} 7 Enter")
    page.wait_for_url("**/chat")
    page.locator("#turns li").nth(1).wait_for()
    assert page.locator("#turns li").all_text_contents() == ["hello we will", answers[1]]
    page.locator("#message").fill("thanks")
    page.locator("#send").click()
    page.get_by_test_id("judge").wait_for(timeout=60_000)
    server.stop()
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        assert sorted(len(p.messages) for p in store.prompts()) == [1, 3]


def test_a_worker_ends_with_a_server_that_was_killed(tmp_path):
    import psutil

    (tmp_path / "trueline.toml").write_text(render(Config(project=ProjectConfig(scenario=""))))
    server = Serving(tmp_path)
    server.start()
    [worker] = psutil.Process(server.process.pid).children()
    server.kill()
    worker.wait(timeout=20)
