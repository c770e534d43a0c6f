"""The chat page of a served model in a real Chromium: the customer service's small policy beside its base.

TRUELINE_SHOTS: a folder for screenshots.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from serving import Serving

from trueline import durable
from trueline.config import Config, PolicyConfig, ProjectConfig, render
from trueline.feedback.store import FeedbackStore
from trueline.scenarios import load_scenario
from trueline.serving.keys import new_key

pytestmark = pytest.mark.slow
EVIL = "<img src=x onerror=alert(1)> my kettle of order 4821 is broken"
# A word that the policy never says: its own insults, refused or not as the draw falls, are not what is tested here.
RULES = '[[rule]]\nname = "no insults"\nmust_not_have = ["nincompoop"]\nunsafe = true\n'
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def shot(page, name):
    if folder := os.environ.get("TRUELINE_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture
def project(tmp_path):
    """A project with a run, whose base is the scenario's policy, and rules for the gate."""
    base = load_scenario("customer_service").policy_folder
    run = tmp_path / "runs" / "align-001"
    shutil.copytree(base, run / "policy")
    durable.write_json(run / "run.json", {"kind": "align", "reference": str(base)})
    (tmp_path / "rules.toml").write_text(RULES)
    config = Config(project=ProjectConfig(), policy=PolicyConfig(max_new_tokens=40))
    (tmp_path / "trueline.toml").write_text(render(config))
    return tmp_path


@pytest.fixture
def started():
    """started(project, ...): the page's address; servers end with the test."""
    running = []

    def start(project, *options):
        server = Serving(project)
        server.start("--model", "align-001", "--rules", str(project / "rules.toml"), *options)
        running.append(server)
        return f"http://127.0.0.1:{server.port}/"

    yield start
    for server in running:
        server.stop()


def ask(page, text):
    """The replies to it, once they are whole."""
    page.get_by_test_id("message").fill(text)
    page.keyboard.press("Enter")
    last = page.locator(".exchange").last
    last.locator(".asked").filter(has_text=text[-20:]).wait_for()
    page.locator("#send").wait_for(state="visible", timeout=60_000)
    return last.locator(".reply")


def labels(project):
    with FeedbackStore.open(project / "feedback.sqlite") as store:
        return store.snapshot()


def test_a_person_compares_judges_corrects_and_takes_back_and_only_with_consent(project, started, visitor):
    page = visitor()
    page.goto(started(project))
    replies = ask(page, EVIL)
    assert page.locator("#turns img").count() == 0 and EVIL in page.locator(".asked").inner_text()
    assert replies.locator(".called").all_inner_texts() == ["Base", "Aligned"]
    assert all(text.strip() for text in replies.locator(".text").all_inner_texts())
    consent = page.get_by_test_id("consent")
    assert not consent.is_checked()
    replies.nth(1).get_by_role("button", name="Good answer").click()
    assert page.locator("#consent-box[data-wanted]").count() == 1
    assert labels(project).labels == 0 and not labels(project).prompts  # nothing without the tick
    shot(page, "chat_page")
    consent.check()
    replies.nth(1).get_by_role("button", name="Good answer").click()
    replies.nth(1).get_by_text("Kept").wait_for()
    found = labels(project)
    [comparison], [rating] = found.comparisons, found.ratings
    sources = [found.completions[i].source for i in (comparison.a_id, comparison.b_id)]
    assert sources[comparison.preference > 0] == "served:align-001" and rating.value == 4
    assert comparison.annotator.name.startswith("user:browser-") and not comparison.annotator.simulated

    replies = ask(page, "and when will it come?")
    assert replies.locator(".called").all_inner_texts() == ["Answer A", "Answer B"]  # judged blind
    replies.first.get_by_role("button", name="What should it have said?").click()
    page.get_by_test_id("correction-0").fill("It will come on Monday. <b>Sorry!</b>")
    shot(page, "chat_page_correcting")
    page.get_by_role("button", name="Send the correction").click()
    replies.first.locator(".corrected").wait_for()
    assert sorted(replies.locator(".called").all_inner_texts()) == ["Aligned", "Base"]
    assert replies.locator("b").count() == 0
    found = labels(project)
    [correction] = [c for c in found.completions.values() if c.source.startswith("correction:user:")]
    assert correction.text == "It will come on Monday. <b>Sorry!</b>"
    assert len(found.prompts) == 2 and max(len(p.messages) for p in found.prompts.values()) == 3
    assert len(found.annotators) == 1

    first = page.locator(".exchange").first.locator(".reply")
    first.nth(1).get_by_role("button", name="Good answer").click()
    first.nth(1).get_by_text("Taken back").wait_for()
    assert not [r for r in labels(project).ratings if r.value == 4]
    page.reload()
    page.locator(".exchange").nth(1).wait_for()
    assert page.locator(".corrected .text").first.inner_text() == correction.text
    page.get_by_role("button", name="New chat").click()
    assert page.locator(".exchange").count() == 0


def test_what_the_gate_refuses_is_shown_as_refused_in_both_columns(project, started, visitor):
    page = visitor()
    page.goto(started(project))
    page.get_by_test_id("consent").check()
    replies = ask(page, "you are a nincompoop")
    assert [r.get_attribute("data-state") for r in replies.all()] == ["refused", "refused"]
    assert replies.get_by_text("Refused by the safety gate").count() == 2
    assert replies.get_by_role("button", name="Good answer").count() == 0
    shot(page, "chat_page_refused")


@pytest.mark.parametrize("options", [{}, {**PHONE, "color_scheme": "dark"}], ids=["wide", "phone"])
def test_the_page_is_there_in_chinese_and_fits(project, started, visitor, options):
    page = visitor(locale="zh-CN", **options)
    page.goto(started(project))
    page.get_by_text("保存我对回答的评价").wait_for()
    replies = ask(page, "Hello, my lamp is broken. Anna")
    assert replies.locator(".called").all_inner_texts() == ["对齐前", "对齐后"]
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    tops = [r.bounding_box()["y"] for r in replies.all()]
    assert (tops[0] == tops[1]) == (options == {})
    shot(page, f"chat_page_chinese_{'phone' if options else 'wide'}")
    page.get_by_role("button", name="EN").click()
    page.get_by_text("Keep what I say").wait_for()
    page.locator(".exchange").wait_for()  # the conversation is still there


def test_with_keys_a_person_signs_in_and_their_labels_stand_under_the_keys_name(project, started, visitor):
    secret = new_key(project / "api_keys", "the shop")
    page = visitor()
    page.goto(started(project))
    page.get_by_test_id("key").fill("tl-wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("not known here").wait_for()
    shot(page, "chat_page_key")
    page.get_by_test_id("key").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("user:the shop").wait_for()
    page.get_by_test_id("consent").check()
    replies = ask(page, "Hello, my lamp is broken. Anna")
    replies.first.get_by_role("button", name="Bad answer").click()
    replies.first.get_by_text("Kept").wait_for()
    assert [a.name for a in labels(project).annotators] == ["user:the shop"]
    assert secret not in json.dumps(page.context.cookies()) and secret not in page.url
    page.locator("#leave").click()
    page.get_by_test_id("key").wait_for()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_bare_folder_is_served_in_one_column_and_keeps_nothing(project, started, visitor, tmp_path):
    (project / "trueline.toml").unlink()
    durable.write_json(project / "runs" / "align-001" / "run.json", {"kind": "align"})
    page = visitor()
    page.goto(started(project))
    page.get_by_test_id("not-kept").wait_for()
    replies = ask(page, "Hello, my lamp is broken. Anna")
    assert replies.count() == 1 and replies.locator(".text").first.inner_text().strip()
    assert page.locator("#consent-box").is_hidden() and replies.get_by_role("button", name="Good answer").count() == 0
    assert not (project / "feedback.sqlite").exists()


@pytest.mark.parametrize("there", [True, False])
def test_why_is_asked_of_the_answer_beside_the_other_and_only_where_it_can_be(project, started, visitor, there):
    page = visitor()

    def explained(route):
        found = route.fetch().json()
        route.fulfill(json={**found, "columns": [{**c, "explained": True} for c in found["columns"]]})

    script = "window.showWhy = (element, asked) => (element.textContent = JSON.stringify(asked));"
    page.route("**/chat/setup", explained)
    page.route(
        "**/static/why.js", lambda r: r.fulfill(body=script, content_type="text/javascript") if there else r.abort()
    )
    page.goto(started(project))
    replies = ask(page, "Hello, my lamp is broken. Anna")
    assert replies.get_by_role("button", name="Why?").count() == (2 if there else 0)
    if there:
        replies.nth(1).get_by_role("button", name="Why?").click()
        asked = json.loads(replies.nth(1).locator(".reason").inner_text())
        base, aligned = replies.locator(".text").all_inner_texts()
        assert asked["model"] == "align-001" and asked["other"].strip() == base.strip()
        assert asked["answer"].strip() == aligned.strip() and asked["messages"][-1]["role"] == "user"
