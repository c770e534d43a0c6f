"""The report in a real browser: it draws, nothing in it runs that should not, and flagged answers open on demand."""

import importlib.util
from pathlib import Path

import pytest

from trueline.evaluate.report import write_report


def sample_report():
    """The report of tests/evaluate, with a hostile title and a flagged, hostile answer."""
    path = Path(__file__).parents[1] / "evaluate" / "test_report.py"
    spec = importlib.util.spec_from_file_location("sample_report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.a_report()


@pytest.mark.slow
def test_the_report_in_a_browser(browser, tmp_path):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    errors, requests = [], []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: (errors.append("an alert ran"), d.dismiss()))
    page.on("request", lambda r: requests.append(r.url))
    target = write_report(sample_report(), tmp_path / "report")
    page.goto(target.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.locator(".js-plotly-plot").count() == 4
    hidden = page.locator("button.hidden")
    assert hidden.count() == 1
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
