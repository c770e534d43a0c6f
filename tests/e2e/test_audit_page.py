"""`trueline audit` through its real door, and its page: drawn in a real browser, inert whatever people wrote."""

import json

import numpy as np
import pytest
from command import trueline

from trueline.config import Config, ProjectConfig, render
from trueline.evaluate.audit_page import write_audit
from trueline.feedback.audit.audit import audit
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"> {{ 7*7 }} 这个回答很差'


def an_audit():
    """Hostile names, dimensions and texts; every kind of plot; an unsafe answer among the examples."""
    rng = np.random.default_rng(0)
    people = [Annotator(f"{HOSTILE} {k}", simulated=k == 0) for k in range(3)]
    exchanges, ratings, comparisons = [], [], []
    for i in range(80):
        prompt = Prompt.from_user(f"{HOSTILE} {i}")
        a = Exchange.of(prompt, f"What a great question! a muslim {HOSTILE} {'word ' * int(rng.integers(5, 40))}{i}")
        b = Exchange.of(prompt, f"no {'word ' * int(rng.integers(5, 40))}{i}")
        exchanges += [a, b]
        for k, person in enumerate(people):
            comparisons.append(
                Comparison(a.completion.id, b.completion.id, HOSTILE, int(rng.choice([-1, -1, 0, 1])), person)
            )
            for e in (a, b):
                mark = int(np.clip(rng.normal(2 + k, 1.2), 1, 5))
                ratings.append(Rating(e.completion.id, "safety", mark, person))
        comparisons.append(Comparison(a.completion.id, b.completion.id, "safety", 2, people[0]))
    return audit(
        FeedbackSnapshot(
            {e.prompt.id: e.prompt for e in exchanges},
            {e.completion.id: e.completion for e in exchanges},
            tuple(ratings),
            tuple(comparisons),
        ),
        resamples=100,
    )


def test_what_people_wrote_is_shown_inert(tmp_path):
    html = write_audit(an_audit(), HOSTILE, tmp_path / "audit").read_text("utf-8")
    body = html[html.index("<body>") :]
    assert "<script>alert" not in body and "<img src=x" not in body and " 49 " not in body
    assert "&lt;script&gt;alert" in body
    assert '<button class="hidden"' in body and "Simulated annotators" in body
    found = json.loads((tmp_path / "audit" / "audit.json").read_text("utf-8"))
    assert found["title"] == HOSTILE and {"id", "severity", "sentence", "figure", "advice"} <= set(found["findings"][0])


@pytest.fixture
def own_project(tmp_path):
    project = tmp_path / "own"
    project.mkdir()
    settings = ProjectConfig(scenario="", dimensions=("quality", "safety"))
    (project / "trueline.toml").write_text(render(Config(project=settings)))
    return project


def test_the_command_prints_its_findings_and_writes_the_page(own_project, tmp_path):
    refused = trueline("audit", "-p", own_project)
    assert refused.code == 2 and "no labels" in refused.err and len(refused.err.splitlines()) == 1
    rows = [
        {"prompt": f"question {i}", "a": f"short {i}", "b": f"a longer one {i}", "preference": 2 if i % 5 else -2}
        for i in range(60)
    ]
    lines = [json.dumps({**r, "dimension": "quality", "annotator": "Anna"}) for r in rows]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    assert trueline("import", "jsonl", tmp_path / "labels.jsonl", "-p", own_project).code == 0
    done = trueline("audit", "-p", own_project)
    assert done.code == 0, done.err
    assert "serious  The longer answer wins 80.0% of quality comparisons" in done.out
    assert done.out.rstrip().splitlines()[-1] == f"audit: {own_project / 'audit' / 'audit.html'}"
    told = trueline("audit", "-p", own_project, "--json").json
    assert told["comparisons"] == 60 and told["people"] == ["Anna"]
    kept = json.loads((own_project / "audit" / "audit.json").read_text("utf-8"))
    assert [f["id"] for f in kept["findings"]] == [f["id"] for f in told["findings"]]
    # All came in by one import: when they were given is not known, and the audit says so.
    assert any(f["id"] == "time/imported" for f in kept["findings"])


@pytest.mark.slow
def test_the_page_in_a_browser(browser, tmp_path):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    errors, requests = [], []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: (errors.append("an alert ran"), d.dismiss()))
    page.on("request", lambda r: requests.append(r.url))
    target = write_audit(an_audit(), HOSTILE, tmp_path / "audit")
    page.goto(target.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.locator(".js-plotly-plot").count() >= 5
    for summary in page.locator("details > summary").all():
        summary.click()
    hidden = page.locator("button.hidden").first
    assert "blur" in hidden.evaluate("e => getComputedStyle(e).filter")
    hidden.focus()
    page.keyboard.press("Enter")
    assert hidden.evaluate("e => getComputedStyle(e).filter") == "none"
    assert errors == []
    assert [r for r in requests if not r.startswith(("file:", "data:", "blob:"))] == []
    phone = browser.new_page(viewport={"width": 390, "height": 800})
    phone.goto(target.as_uri())
    phone.wait_for_selector(".js-plotly-plot .main-svg")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
