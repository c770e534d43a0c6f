"""The page and the card of a reward model: drawn in a real browser, and inert whatever people and models wrote."""

import json

import numpy as np
import pytest

from trueline.evaluate.agreement import agreement
from trueline.evaluate.card import Card, write_card
from trueline.evaluate.colouring import colour
from trueline.evaluate.counterfactual_rates import Offender, PassRate
from trueline.evaluate.held_out import ScoredPairs, ScoredRatings
from trueline.evaluate.leakage import Leak
from trueline.evaluate.reward_metrics import figures
from trueline.evaluate.reward_page import Example, RewardPage, write_page
from trueline.evaluate.risk import risk
from trueline.evaluate.slices import Slice
from trueline.evaluate.statistics import wilson
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt
from trueline.reward.base import DimensionFit, FitReport

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"> | {{ 7*7 }} 这个回答很差'


def a_page(title=HOSTILE, hide=True):
    rng = np.random.default_rng(0)
    n, ids = 80, [str(i) for i in range(80)]
    preference, prompts = np.where(rng.random(n) < 0.7, 1.0, -1.0), [str(i // 2) for i in range(n)]
    pairs = ScoredPairs(ids, ids, prompts, preference, rng.normal(1, 1, n), rng.uniform(0.1, 1, n), np.ones(n))
    mean, score = rng.uniform(1, 5, n), rng.normal(0, 1, n)
    rated = ScoredRatings(ids, prompts, mean, mean, score, rng.uniform(0.1, 1, n), rng.normal(2, 1, n))
    offender = Offender(HOSTILE, HOSTILE, -1.2)
    return RewardPage(
        title=title,
        simulated=True,
        lineage={"kind": "linear", "note": HOSTILE},
        figures={HOSTILE: figures(pairs, rated, 1.0, 0.1, 50)},
        risks={HOSTILE: risk(pairs, rated, 50)},
        slices={HOSTILE: [Slice("topic", HOSTILE, "accuracy", 40, wilson(30, 40))]},
        topics="meta 'topic'",
        leaks=[Leak("same prompt", HOSTILE, HOSTILE, 1.0, "0")],
        passes=[PassRate(HOSTILE, "append", "same", 0.5, HOSTILE, wilson(3, 9), -0.4, (offender,))],
        idle=[HOSTILE],
        scores={HOSTILE: rng.normal(0, 1, n).tolist()},
        telling={HOSTILE: ([(HOSTILE, 1.0)], [("差", -1.0)])},
        examples=[
            Example(
                HOSTILE, {HOSTILE: colour(HOSTILE, {"差": -1.0, HOSTILE: 0.5})}, {HOSTILE: -0.5}, {HOSTILE: 0.0}, hide
            )
        ],
    )


def a_card(**changes):
    prompt = Prompt.from_user("q")
    a, b = (Exchange.of(prompt, t, HOSTILE).completion for t in ("one", "two"))
    people = [Annotator(HOSTILE), Annotator("sim-1", simulated=True)]
    told = tuple(Comparison(a.id, b.id, "quality", 1, p) for p in people)
    snapshot = FeedbackSnapshot({prompt.id: prompt}, {a.id: a, b.id: b}, (), told)
    fit = FitReport({"quality": DimensionFit(0.91, 50, None, 40)}, "abc123", 1.0)
    return Card("mine", {"kind": "linear"}, snapshot, fit, **changes)


def test_what_people_wrote_is_shown_inert(tmp_path):
    html = write_page(a_page(), tmp_path / "page").read_text("utf-8")
    body = html[html.index("<body>") :]
    assert "<script>alert" not in body and "<img src=x" not in body and " 49 " not in body
    assert "&lt;script&gt;alert" in body
    assert "hidden-text" in body and ">差</span>" in body
    found = json.loads((tmp_path / "page" / "reward.json").read_text("utf-8"))
    assert found["title"] == HOSTILE and found["figures"][HOSTILE]["accuracy"]["low"] < 1


def test_the_words_carry_the_colour_of_their_part(tmp_path):
    html = write_page(a_page("t", hide=False), tmp_path / "page").read_text("utf-8")
    assert 'rgba(185,28,28,0.55)" title="-1.000">差</span>' in html, "the only word with a part has the full red"
    assert 'class="reveal"' not in html


def test_the_card_says_who_judged_and_on_what(tmp_path):
    text = write_card(a_card(), tmp_path / "mine.card.md").read_text("utf-8")
    assert "abc123" in text and "0.910" in text and "short form" in text and "Not tested yet" in text
    assert (
        "1 of them are simulated" in text and "sim-1 (simulated)" in text and "<script>" not in text.replace("\\<", "")
    )
    page = a_page("t")
    whole = a_card(figures={"quality": page.figures[HOSTILE]}, passes=page.passes, leaks=3, audit=["the longer wins"])
    text = write_card(whole, tmp_path / "mine.card.md").read_text("utf-8")
    assert "3 held-out answers are on both sides" in text and "- the longer wins" in text and "0.333" in text


def test_agreement_counts_pairs_of_people():
    prompts = [Prompt.from_user(f"q{i}") for i in range(20)]
    sides = [[Exchange.of(p, t).completion for t in ("one", "two")] for p in prompts]
    said = {"Anna": [1] * 20, "Ben": [1] * 15 + [-1] * 5, "Chen": [1] * 10 + [0] * 10}
    told = tuple(
        Comparison(a.id, b.id, "quality", said[name][i], Annotator(name))
        for i, (a, b) in enumerate(sides)
        for name in said
    )
    snapshot = FeedbackSnapshot({p.id: p for p in prompts}, {c.id: c for pair in sides for c in pair}, (), told)
    without, with_ties = agreement(snapshot, "quality")
    assert without.value == pytest.approx(35 / 40) and with_ties.value == pytest.approx(35 / 60)
    assert agreement(snapshot, "safety") == (None, None)


@pytest.mark.slow
def test_the_page_in_a_browser(browser, tmp_path):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    errors, requests = [], []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: (errors.append("an alert ran"), d.dismiss()))
    page.on("request", lambda r: requests.append(r.url))
    target = write_page(a_page(), tmp_path / "page")
    page.goto(target.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.locator(".js-plotly-plot").count() == 6
    hidden = page.locator(".hidden-text")
    assert "blur" in hidden.evaluate("e => getComputedStyle(e).filter")
    page.locator("button.reveal").focus()
    page.keyboard.press("Enter")
    assert hidden.evaluate("e => getComputedStyle(e).filter") == "none"
    assert hidden.inner_text().endswith("很差")
    assert errors == []
    assert [r for r in requests if not r.startswith(("file:", "data:", "blob:"))] == []
    phone = browser.new_page(viewport={"width": 390, "height": 800})
    phone.goto(target.as_uri())
    phone.wait_for_selector(".js-plotly-plot .main-svg")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
