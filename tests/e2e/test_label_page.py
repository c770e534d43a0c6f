"""The labelling page in a real Chromium, against a real server: a whole session by keyboard, on a phone, in Chinese and
dark, offline and back, two people on one item, hostile texts, undo, blur and reveal.

TRUELINE_SHOTS: a folder for screenshots, as docs/labelling.md shows them.
"""

import json
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from serving import Serving

from trueline.config import Config, LabellingConfig, ProjectConfig, render
from trueline.feedback import queue_tables as q
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.labelling.items import Item, add_items, unjudged
from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Message, Prompt

pytestmark = pytest.mark.slow
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:alert(3)) \u202eevil\u202c =HYPERLINK(1)"
)
DIMENSIONS = ("quality", "safety", "consistency")


def texts():
    yield (
        Prompt(
            (
                Message("user", "Hello, my kettle is broken."),
                Message("assistant", "I am sorry to hear that. What is the number of your order?"),
                Message("user", "It is order 4821. Can you send a new one?"),
            )
        ),
        (
            "I am sorry that your kettle is broken. A new one for order 4821 is on its way and arrives on Friday.",
            "That is not our problem. Read the terms of order 4821.",
        ),
    )
    yield (
        Prompt.from_user("你好，我的订单 3391 还没有到，能帮我查一下吗？"),
        (
            "您好，订单 3391 正在派送中，预计明天送达。给您带来不便，非常抱歉。",
            "不知道，你自己去查吧。",
        ),
    )
    yield Prompt.from_user(HOSTILE), (HOSTILE + " one", "x" * 1_000_000)
    yield Prompt.from_user("Can I return the lamp?"), ("Yes, within 30 days.", "Yes, the label is in the parcel.")


@pytest.fixture
def site(tmp_path):
    """A server with four items, Anna and Ben."""
    config = Config(project=ProjectConfig(scenario=""), labelling=LabellingConfig(judgements=2, again=0))
    (tmp_path / "trueline.toml").write_text(render(config))
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        for prompt, answers in texts():
            store.add([Exchange.of(prompt, a) for a in answers])
        add_items(store, unjudged(store), 2)
        accounts = Accounts(store)
        for name in ("Anna", "Ben"):
            accounts.ensure(name, "reviewer")
        links = {name: accounts.login_link(name) for name in ("Anna", "Ben")}
    server = Serving(tmp_path)
    server.start("--no-worker")
    server.links = {name: f"http://127.0.0.1:{server.port}/sign-in?token={secret}" for name, secret in links.items()}
    yield server
    server.stop()


@pytest.fixture
def enter(site, visitor):
    """enter("Anna", **context options): a label page of hers that no dialog of the browser may interrupt."""
    dialogs = []

    def open_(name, **options):
        page = visitor(**options)
        page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
        page.goto(site.links[name])
        page.get_by_test_id("answer-0").wait_for()
        return page

    yield open_
    assert dialogs == []


def shot(page, name):
    if folder := os.environ.get("TRUELINE_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def store_of(site):
    return FeedbackStore.open(site.project / "feedback.sqlite")


ARRIVED = "() => !Object.keys(localStorage).some(k => k.startsWith('trueline.outbox'))"
SAYS_OFFLINE = "() => /offline/i.test(document.querySelector('[data-testid=state]').innerText)"


def press(page, keys):
    for key in keys.split():
        page.keyboard.press(key)


ALL_MARKS = "q 4 s 5 c 4 Tab q 2 s 3 c n"


def prompt_of(page):
    return page.get_by_test_id("prompt").inner_text()


def submit_and_wait(page):
    """Enter, until another task is there, or the end, and what was said has arrived."""
    before = prompt_of(page)
    page.keyboard.press("Enter")
    page.wait_for_function(
        """(before) => document.querySelector('[data-testid=empty]').checkVisibility()
            || document.querySelector('[data-testid=prompt]').innerText !== before""",
        arg=before,
    )
    page.wait_for_function(ARRIVED)


def test_a_whole_session_by_keyboard(site, enter):
    page = enter("Anna")
    shot(page, "label")
    judged = 0
    while not page.get_by_test_id("empty").is_visible():
        press(page, f"{ALL_MARKS} 1")
        page.keyboard.press("r")
        page.keyboard.type("q 5 because x")  # letters that are keys elsewhere
        page.keyboard.press("Escape")
        submit_and_wait(page)
        judged += 1
        assert judged <= 4
    shot(page, "done")
    assert judged == 4
    with store_of(site) as store:
        with store.engine.connect() as c:
            said = list(c.execute(sa.select(q.judgements.c.content)).scalars())
        assert len(store.snapshot().comparisons) == 4
    for s in said:
        assert s["preference"] == -3 and s["rationale"] == "q 5 because x" and s["seconds"] > 0
        assert s["marks"] == [
            {"quality": 4, "safety": 5, "consistency": 4}, {"quality": 2, "safety": 3, "consistency": None}
        ]  # fmt: skip


def test_enter_with_something_missing_says_what_and_sends_nothing(site, enter):
    page = enter("Anna")
    press(page, "q 4 s 5 c 4 Tab q 2 s 3 1")
    page.keyboard.press("Enter")
    page.get_by_test_id("message").wait_for()
    assert "onsistency" in page.get_by_test_id("message").inner_text()
    with store_of(site) as store:
        assert store.snapshot().comparisons == ()


def test_undo_brings_the_judgement_back(site, enter):
    page = enter("Anna")
    first = prompt_of(page)
    press(page, f"{ALL_MARKS} 6")
    submit_and_wait(page)
    page.keyboard.press("u")
    page.wait_for_function("(p) => document.querySelector('[data-testid=prompt]').innerText === p", arg=first)
    assert page.get_by_test_id("preference-2").is_checked()
    assert (
        page.get_by_test_id("mark-1-consistency-na").or_(page.get_by_test_id("mark-right-consistency-na")).is_checked()
    )
    with store_of(site) as store:
        assert store.snapshot().comparisons == ()


def test_hostile_texts_are_inert_and_whole(site, enter):
    page = enter("Anna")
    while "script" not in prompt_of(page):
        press(page, "x Enter")
        page.wait_for_timeout(300)
    assert prompt_of(page).replace("\u202e", "").replace("\u202c", "") == HOSTILE.replace("\u202e", "").replace(
        "\u202c", ""
    )
    assert (
        page.locator("[data-testid=answer-0] script, [data-testid=answer-0] img, [data-testid=answer-0] a").count() == 0
    )
    lengths = [len(page.get_by_test_id(f"answer-{i}").text_content()) for i in range(2)]
    assert max(lengths) >= 1_000_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "hostile")


def test_on_a_phone_answers_are_stacked_and_all_can_be_reached(site, enter):
    page = enter("Anna", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    shot(page, "phone")
    boxes = [page.get_by_test_id(f"answer-{i}").bounding_box() for i in range(2)]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for side in ("left", "right"):
        for d in DIMENSIONS:
            page.locator(f"label:has([data-testid=mark-{side}-{d}-4])").tap()
    page.locator("label:has([data-testid=preference-0])").tap()
    page.get_by_test_id("submit").tap()
    page.wait_for_function(ARRIVED)
    with store_of(site) as store:
        assert len(store.snapshot().comparisons) == 1


def test_in_chinese_and_dark(site, enter):
    page = enter("Anna", locale="zh-CN", color_scheme="dark")
    assert page.locator("html").get_attribute("lang").startswith("zh")
    text = page.locator("main").inner_text()
    assert "提交" in text and "Submit" not in text and "Guidelines" not in text
    assert "质量" in text
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(x) for x in background[4:-1].split(",")[:3]) < 150
    page.get_by_test_id("guidelines").click()
    page.get_by_test_id("guidelines-drawer").get_by_text("如何评判").wait_for()
    page.wait_for_timeout(300)
    shot(page, "chinese_dark")


def test_an_input_method_that_composes_is_left_alone(site, enter):
    page = enter("Anna")
    page.evaluate(
        """() => { for (const key of ['1', 'q', '5', 'Enter']) document.body.dispatchEvent(
            new KeyboardEvent('keydown', { key, isComposing: true, bubbles: true, cancelable: true })) }"""
    )
    assert not page.get_by_test_id("preference--3").is_checked()
    press(page, "1")
    assert page.get_by_test_id("preference--3").is_checked()


def test_offline_and_back(site, enter):
    page = enter("Anna")
    press(page, f"{ALL_MARKS} 7")
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    page.wait_for_function(SAYS_OFFLINE)
    assert "1" in page.get_by_test_id("state").inner_text()
    shot(page, "offline")
    with store_of(site) as store:
        assert store.snapshot().comparisons == ()
    page.context.set_offline(False)
    page.wait_for_function(ARRIVED, timeout=30_000)
    page.get_by_test_id("answer-0").wait_for()
    with store_of(site) as store:
        assert len(store.snapshot().comparisons) == 1


def test_a_server_that_was_killed_while_one_judges(site, enter):
    page = enter("Anna")
    press(page, f"{ALL_MARKS} 7")
    site.kill()
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    site.start("--no-worker")
    page.wait_for_function(ARRIVED, timeout=60_000)
    with store_of(site) as store:
        assert len(store.snapshot().comparisons) == 1


def test_a_draft_survives_a_reload(site, enter):
    page = enter("Anna")
    press(page, "q 4 2")
    page.keyboard.press("r")
    page.keyboard.type("half a thought")
    page.wait_for_timeout(1500)
    page.reload()
    page.get_by_test_id("answer-0").wait_for()
    page.wait_for_function("() => document.querySelector('[data-testid=rationale]').value === 'half a thought'")
    assert page.get_by_test_id("preference--2").is_checked()


def test_two_people_on_one_item_and_what_one_flags_is_blurred_for_the_other(site, enter):
    anna = enter("Anna")
    flagged = prompt_of(anna)
    press(anna, "f Enter")
    anna.wait_for_timeout(500)
    ben = enter("Ben")
    assert prompt_of(ben) == flagged or ben.get_by_test_id("reveal").is_visible()
    assert ben.get_by_test_id("reveal").is_visible()
    shot(ben, "blurred")
    ben.keyboard.press("b")
    ben.wait_for_timeout(200)
    assert prompt_of(ben) == flagged
    for page in (anna, ben):
        press(page, f"{ALL_MARKS} 4")
        submit_and_wait(page)
    with store_of(site) as store:
        assert len(store.snapshot().comparisons) == 2
        with store.engine.connect() as c:
            assert list(c.execute(sa.select(q.items.c.judged).where(q.items.c.judged > 0)).scalars()) == [2]


def test_differences_help_and_skip(site, enter):
    page = enter("Anna")
    press(page, "d")
    assert page.locator("[data-testid=answer-0] ins, [data-testid=answer-0] del, [data-testid=answer-1] ins, "
                        "[data-testid=answer-1] del").count() > 0  # fmt: skip
    shot(page, "differences")
    press(page, "?")
    page.get_by_test_id("help-dialog").wait_for()
    shot(page, "keys")
    press(page, "Escape")
    first = prompt_of(page)
    press(page, "x Enter")
    page.wait_for_function("(p) => document.querySelector('[data-testid=prompt]').innerText !== p", arg=first)
    page.wait_for_function(ARRIVED)
    with store_of(site) as store, store.engine.connect() as c:
        assert list(c.execute(sa.select(q.judgements.c.kind)).scalars()) == ["skip"]


def test_single_answers_are_rated(tmp_path, browser):
    config = Config(project=ProjectConfig(scenario=""), labelling=LabellingConfig(judgements=1))
    (tmp_path / "trueline.toml").write_text(render(config))
    exchange = Exchange.of(Prompt.from_user("Tell me a joke."), "Knock, knock.")
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        store.add([exchange])
        add_items(store, [Item(exchange.prompt.id, exchange.completion.id)], 1)
    server = Serving(tmp_path)
    server.start("--no-worker")
    page = browser.new_page()
    page.goto(server.link)
    page.get_by_test_id("answer-0").wait_for()
    assert not page.get_by_test_id("answer-1").is_visible()
    press(page, "q 4 s 5 c 3 Enter")
    page.get_by_test_id("empty").wait_for()
    page.close()
    server.stop()
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        assert {r.dimension: r.value for r in store.snapshot().ratings} == {"quality": 4, "safety": 5, "consistency": 3}


def test_all_texts_of_pages_are_translated():
    """Every English text in the templates and scripts has its Chinese."""
    import re

    web = Path(__file__).resolve().parents[2] / "src" / "trueline" / "web"
    known = json.loads((web / "locale" / "zh.json").read_text("utf-8"))
    said = set()
    for path in (web / "templates").glob("*.jinja"):
        said |= set(re.findall(r"""_\("((?:[^"\\]|\\.)*)"\)""", path.read_text("utf-8")))
        said |= set(re.findall(r"""_\('((?:[^'\\]|\\.)*)'\)""", path.read_text("utf-8")))
    for path in (web / "static").glob("*.js"):
        said |= set(re.findall(r"""\bt\("((?:[^"\\]|\\.)*)["]""", path.read_text("utf-8")))
    missing = sorted(text for text in said if text not in known)
    assert missing == []
    assert len(said) > 80
