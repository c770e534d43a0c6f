"""The watch page in a real Chromium, over fabricated run folders that grow while it is open.

TRUELINE_SHOTS: a folder for screenshots.
"""

import json
import math
import os
import random
import time
from pathlib import Path

import pytest
from serving import Serving

from trueline.config import Config, LabellingConfig, ProjectConfig, render
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.store import FeedbackStore

pytestmark = pytest.mark.slow
EVIL = '<img src=x onerror=alert(1)><script>alert(2)</script> \u202eevil\u202c "quoted" {{7*7}}'
DIMENSIONS = ("quality", "safety", "consistency")
STEPS = 30


def shot(page, name):
    if folder := os.environ.get("TRUELINE_SHOTS"):
        page.wait_for_timeout(300)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def step(n, through, seed=0, **more):
    """A row as a run writes it; through: of all steps so far, which the curves follow."""
    rng = random.Random(1000 * seed + through)
    gain = 1 - math.exp(-through / 25)
    learned = {f"reward_{d}": gain * (1 + i / 4) - 0.3 + rng.gauss(0, 0.05) for i, d in enumerate(DIMENSIONS)}
    true = {f"true_{d}": min(1, 0.5 + gain * (0.45 - i / 10) + rng.gauss(0, 0.01)) for i, d in enumerate(DIMENSIONS)}
    judge = {f"judge_{d}": v - 0.1 for (_, v), d in zip(learned.items(), DIMENSIONS, strict=True)}
    row = {
        "step": n, "reward": sum(learned.values()), **learned, **true, "kl": 2.6 * gain + rng.gauss(0, 0.08),
        "length": 20 + 7 * gain + rng.gauss(0, 0.3), "entropy": 0.45 - 0.25 * gain + rng.gauss(0, 0.01),
        "bad_share": max(0, 0.36 - 0.34 * gain + rng.gauss(0, 0.01)), "unsafe_share": max(0, 0.38 - 0.36 * gain),
        "multiplier": 1 + 3 * gain * math.exp(-through / 40), "seconds_rollout": 0.27 + rng.random() / 20,
        "seconds_update": 0.34 + rng.random() / 20, "kl_coef": 0.05, "learning_rate": 4e-4, "warnings": [],
    }  # fmt: skip
    every = {"judge": sum(judge.values()), **judge} if n % 5 == 0 else {}
    return {**row, **every, **more}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def report(i, evil=""):
    def interval(value):
        return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 200}

    metrics = {
        "unsafe_share": {"before": interval(0.36), "after": interval(0.2 / i), "change": None},
        "win_rate": {"before": interval(0.5), "after": interval(0.7 + i / 20), "change": None},
        **{d: {"before": interval(0.6), "after": interval(0.8 + i / 20), "change": None} for d in DIMENSIONS},
        "kl": {"before": None, "after": interval(1.4 * i), "change": None},
    }
    samples = [
        {
            "prompt": f"Hi, my kettle is late, the order is {3900 + k}. Thanks! {evil}",
            "before": f"That is not our problem. {evil}",
            "after": f"Hi, order {3900 + k} with your kettle is on its way and arrives tomorrow. {evil}",
            "scores_before": dict.fromkeys(DIMENSIONS, 0.2), "scores_after": dict.fromkeys(DIMENSIONS, 0.975),
            "flagged_before": k % 3 == 0,
        }
        for k in range(12)
    ]  # fmt: skip
    return {
        "title": evil,
        "judge": f"the scenario's known truth{evil}",
        "simulated": True,
        "metrics": metrics,
        "samples": samples,
    }


def decision(i, evil=""):
    return {
        "round": i, "promoted": i == 1, "stop": "" if i == 1 else f"the last round was worse {evil}",
        "gates": [
            {"name": "safety", "passed": True, "text": f"unsafe answers fell from 36.0% to {20 / i:.1f}% {evil}"},
            {"name": "distance", "passed": i == 1, "text": "KL 1.4 of at most 50 nats an answer"},
        ],
        "changes": [
            {
                "setting": "align.kl.coefficient", "before": 0.05, "after": 0.08, "rule": "reward outruns the truth",
                "evidence": f"the learned reward rose by 1.9, the judge's by 0.4 {evil}",
                "expects": "the judge's share of the gain goes above a half",
            }
        ],
        "checks": [
            {"rule": "more labels", "expected": "held-out accuracy above 0.8", "found": f"0.84 {evil}", "held": i == 1}
        ],
    }  # fmt: skip


def fabricate(runs):
    """A loop that goes on, with two rounds behind it and hostile texts, and an older finished run."""
    project = {"scenario": "customer_service", "dimensions": list(DIMENSIONS)}
    align = {"algorithm": "rloo", "steps": STEPS, "constraint": {"dimension": "safety", "limit": 0.05}}
    config = {"project": project, "align": align, "collect": {"labelled_by": "simulated"}}
    loop = runs / "loop-002"
    write(loop / "run.json", {"kind": "loop", "rounds": 3, "config": config})
    for i in (1, 2, 3):
        alarm = {"warnings": [f"answers grew from 20 to 4{i} tokens: the reward may like length {EVIL}"]}
        rows = [
            step(n, (i - 1) * STEPS + n, **(alarm if 20 <= n < 24 else {}))
            for n in range(1, (8 if i == 3 else STEPS) + 1)
        ]
        write(loop / f"round-{i:02d}" / "align" / "metrics.jsonl", lines(rows))
    for i in (1, 2):
        write(loop / f"round-{i:02d}" / "report" / "report.json", report(i, EVIL if i == 2 else ""))
        write(loop / f"round-{i:02d}" / "decision.json", decision(i, EVIL if i == 2 else ""))
    old = runs / "align-001"
    write(old / "run.json", {"kind": "align", "config": config})
    write(old / "metrics.jsonl", lines(step(n, n, seed=7) for n in range(1, STEPS + 1)))
    write(old / "policy" / "config.json", {})
    write(old / "report" / "report.json", report(1))
    os.utime(old / "run.json", (time.time() - 86_400,) * 2)
    return loop


@pytest.fixture
def served(tmp_path):
    config = Config(project=ProjectConfig(scenario=""), labelling=LabellingConfig())
    (tmp_path / "trueline.toml").write_text(render(config))
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        accounts = Accounts(store)
        links = {}
        for name, role in (("Vera", "viewer"), ("Rita", "admin")):
            accounts.ensure(name, role)
            links[name] = accounts.login_link(name)
    server = Serving(tmp_path)
    server.start("--no-worker")
    server.links = {name: f"http://127.0.0.1:{server.port}/sign-in?token={link}" for name, link in links.items()}
    server.address = f"http://127.0.0.1:{server.port}/watch"
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def watching(served, visitor):
    """watching("Vera", **context options): her watch page, and no dialog in it."""
    dialogs = []

    def open_(name="Vera", query="", **options):
        page = visitor(**options)
        page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
        page.goto(served.links[name])
        page.goto(served.address + query)
        return page

    yield open_
    assert dialogs == []


def length_of(page, plot):
    """In how many steps the first line of a chart is drawn."""
    path = page.locator(f"[data-plot='{plot}'] path.line").first.get_attribute("d")
    return sum(path.count(c) for c in "ML")


def overflows(page):
    return page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_a_run_is_watched_live_from_before_it_begins_to_a_server_that_goes_and_comes(served, watching):
    page = watching()
    page.locator("#none").wait_for()
    assert page.locator("nav.pages a[aria-current]").inner_text() == "Watch"
    loop = fabricate(served.project / "runs")
    page.locator("[data-plot='reward'] path.line").first.wait_for(timeout=60_000)  # it was found by itself
    assert page.locator("#run-name").inner_text() == "loop-002"  # the newest
    assert page.locator("#state").inner_text() == "live" and page.locator("#simulated").is_visible()
    assert length_of(page, "kl") == 2 * STEPS + 8
    page.evaluate("() => { window.same = true; }")
    with open(loop / "round-03" / "align" / "metrics.jsonl", "a") as journal:
        journal.write(json.dumps(step(9, 69, kl=5.0, warnings=[f"something new {EVIL}"])) + '\n{"step": 10, "kl"')
        journal.flush()
        page.wait_for_function("() => document.getElementById('alarms').textContent.includes('something new')")
        assert length_of(page, "kl") == 2 * STEPS + 9
        assert "5" in page.locator("[data-plot='kl'] .legend b").inner_text()
        assert "step 69 of 90" in page.locator("#steps").inner_text()
    write(loop / "round-03" / "report" / "report.json", report(3))
    write(
        loop / "round-03" / "decision.json", {"promoted": False, "stop": "", "gates": [], "changes": [], "checks": []}
    )
    page.locator("#decisions .decision h3", has_text="Round 3").wait_for()
    page.locator("#results-head th", has_text="round 3").wait_for()
    assert page.evaluate("() => window.same") is True  # without a reload
    served.stop()  # an open page does not keep the server from ending
    page.locator("#state .badge.bad").wait_for()
    assert page.locator("#state").inner_text() == "server away"
    with open(loop / "round-03" / "align" / "metrics.jsonl", "a") as journal:
        journal.write(": 1.0}\n")
    served.start("--no-worker")
    page.locator("#state .badge.live").wait_for(timeout=60_000)
    page.wait_for_function("() => /step 70/.test(document.getElementById('steps').textContent)", timeout=60_000)
    write(loop / "report" / "report.json", report(3))
    page.locator("#state .badge.good").wait_for()
    assert page.locator("#state").inner_text() == "finished"


def test_what_models_and_files_say_is_only_shown(served, watching):
    fabricate(served.project / "runs")
    page = watching()
    page.locator("#samples .sample").first.wait_for()
    assert page.locator("main img, main script, main iframe").count() == 0
    assert "onerror" in page.locator("#alarms").inner_text()
    assert "onerror" in page.locator("#decisions").inner_text() and "onerror" in page.locator("#samples").inner_text()
    shot(page, "watch")
    cards = page.locator(".decision")
    assert "Promoted" in cards.nth(1).inner_text() and "Refused" in cards.nth(0).inner_text()
    assert "align.kl.coefficient: 0.05 → 0.08" in cards.nth(1).inner_text()
    assert "step" in page.locator("#alarms li").first.inner_text() and page.locator("#alarms li").count() == 2
    flagged = page.locator(".side.flagged")
    n = flagged.count()
    assert n == 4 and "blur" in flagged.first.locator(".answer").evaluate("e => getComputedStyle(e).filter")
    flagged.first.get_by_role("button").click()
    assert flagged.count() == n - 1
    page.get_by_role("button", name="Next").click()
    page.wait_for_function("() => document.querySelectorAll('#samples .sample').length === 2")
    page.locator("#gallery-round").select_option("1")
    page.wait_for_function("() => document.querySelectorAll('#samples .sample').length === 10")
    assert "onerror" not in page.locator("#samples").inner_text()


def test_the_crosshair_goes_by_mouse_and_by_keys_and_over_all_charts(served, watching):
    fabricate(served.project / "runs")
    page = watching()
    chart = page.locator("[data-plot='kl'] svg")
    chart.wait_for()
    chart.focus()
    page.keyboard.press("Home")
    where, value = chart.get_attribute("aria-valuetext").split(": KL ")
    assert where == "round 1, step 1" and float(value.replace("−", "-")) == pytest.approx(step(1, 1)["kl"], abs=0.001)
    page.keyboard.press("ArrowRight")
    assert "round 1, step 2:" in chart.get_attribute("aria-valuetext")
    assert "step 2" in page.locator("[data-plot='length'] .legend").inner_text()
    page.keyboard.press("Escape")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 15, box["y"] + 60)
    assert "round 3, step 8" in page.locator("[data-plot='reward'] .legend").inner_text()
    assert page.locator("[data-plot='reward'] .hair").count() == 1
    page.mouse.move(5, 5)
    assert page.locator(".hair").count() == 0
    cloud = page.locator("[data-plot='frontier'] circle")
    assert cloud.count() == 2 * STEPS + 8


def test_runs_are_compared_and_the_address_remembers_it(served, watching):
    fabricate(served.project / "runs")
    page = watching()
    page.locator("#others input").wait_for()
    page.locator("#others input").check()
    page.wait_for_function("() => document.querySelectorAll(\"[data-plot='reward'] path.line\").length === 2")
    assert page.locator("[data-plot='reward'] .legend bdi").all_inner_texts() == ["loop-002", "align-001"]
    colours = [
        page.locator("[data-plot='reward'] path.line").nth(i).evaluate("e => getComputedStyle(e).stroke")
        for i in (0, 1)
    ]
    assert colours[0] != colours[1]
    page.locator("#dimension").select_option("safety")
    expected = step(STEPS, STEPS, seed=7)["reward_safety"]
    page.wait_for_function(
        "x => Math.abs(document.querySelectorAll(\"[data-plot='reward'] .legend b\")[1].textContent - x) < 0.01",
        arg=expected,
    )
    assert page.locator("#results-head th").all_inner_texts() == ["", "before", "loop-002", "align-001"]
    shot(page, "watch_compared")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll(\"[data-plot='reward'] path.line\").length === 2")
    page.locator("#run").select_option("align-001")
    page.locator("#state .badge.good").wait_for()
    page.wait_for_function("() => document.getElementById('run-name').textContent === 'align-001'")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("watch_dark", {"color_scheme": "dark"}),
        ("watch_zh", {"locale": "zh-CN"}),
        ("watch_phone", {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}),
        ("watch_phone_zh_dark", {"viewport": {"width": 360, "height": 740}, "locale": "zh-CN", "color_scheme": "dark"}),
    ],
)
def test_dark_chinese_and_phone(served, watching, name, options):
    fabricate(served.project / "runs")
    page = watching("Rita", **options)
    page.locator("#samples .sample").first.wait_for()
    assert not overflows(page)
    if "zh" in name:
        assert "模拟标注员" in page.locator("#simulated").inner_text() and page.locator("#state").inner_text() == "实时"
    shot(page, name)
