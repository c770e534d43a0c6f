"""The report: stable names for machines, nothing hostile for browsers, nothing left half-written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trueline.errors import InputError
from trueline.evaluate.compare import Metric, summarise
from trueline.evaluate.record import Answered, Verdicts
from trueline.evaluate.report import Report, SampleRow, read_report, write_report
from trueline.evaluate.statistics import Interval
from trueline.evaluate.wording import LABELS, SHARES, show, verdict
from trueline.records import Completion, Prompt, Scores

HOSTILE = '<script>alert(1)</script> <img src=x onerror="alert(2)"> | `code` {{ 7*7 }} \u202e'


def answered(n=40):
    prompts = tuple(Prompt.from_user(f"request {i}") for i in range(n))
    side = [tuple(Completion(p.id, f"answer {word} {i}") for i, p in enumerate(prompts)) for word in ("old", "new")]
    nats = (np.linspace(5, 9, 12), np.full(12, 4))
    return Answered(prompts, *side, np.linspace(0, 2, n), np.full(n, 7), np.full(n, 9), nats, (nats[0] / 2, nats[1]))


def verdicts(level, unsafe, n=40):
    scores = Scores(("quality", "safety"), np.stack([np.linspace(0, level, n), np.linspace(1, level, n)], 1))
    return Verdicts(scores, np.arange(n) >= unsafe, np.arange(n) % 2 == 0)


def a_report(**changes):
    metrics = summarise(answered(), verdicts(0.2, 12), verdicts(0.9, 2), 200)
    sample = SampleRow(HOSTILE, HOSTILE, "fine", {"safety": 0.1}, {"safety": 0.9}, flagged_before=True)
    rows = [
        {
            "step": i,
            "reward": i / 2,
            "reward_quality": i,
            "true_quality": i / 9,
            "kl": i / 3,
            "length": 9.0,
            "entropy": 1.0,
            "round": i // 4,
        }
        for i in range(8)
    ]
    fit = {"accuracy": 0.9, "n_pairs": 10, "pearson": None, "n_train": 4}
    given = {
        "title": HOSTILE, "metrics": metrics, "judge": "the truth", "simulated": True, "samples": (sample,),
        "curves": tuple(rows), "reward_models": ({"round": 1, "model": "reward", "dimensions": {"quality": fit}},),
        "lineage": {"seed": 0},
    }  # fmt: skip
    return Report(**{**given, **changes})


def test_metrics_are_under_their_stable_names(tmp_path):
    write_report(a_report(), tmp_path / "report")
    found = json.loads((tmp_path / "report" / "report.json").read_text())["metrics"]
    assert set(found) == {
        "unsafe_share", "consistent_share", "quality", "safety", "win_rate", "kl", "kl_per_token", "length",
        "finished_share", "repetition", "distinct_2", "self_bleu", "perplexity",
    }  # fmt: skip
    for metric in found.values():
        for side in ("before", "after"):
            assert set(metric[side]) == {"value", "low", "high", "n"}
            assert metric[side]["low"] <= metric[side]["value"] <= metric[side]["high"]
    assert found["unsafe_share"]["before"]["value"] == 12 / 40
    assert found["unsafe_share"]["after"]["value"] == 2 / 40
    assert found["length"]["after"]["value"] == 9
    assert found["kl"]["after"]["value"] == pytest.approx(1.0)
    assert found["kl_per_token"]["after"]["value"] == pytest.approx(1 / 9)
    assert found["finished_share"]["after"]["value"] == 1
    assert found["win_rate"]["after"]["value"] > 0.9
    assert found["perplexity"]["before"]["value"] == pytest.approx(np.exp(7 / 4))


def test_what_only_some_evaluations_know_is_told_where_it_is():
    given = answered()
    cut = tuple(replace(c, finish="length") if i < 10 else c for i, c in enumerate(given.before))
    lengths = np.where(np.arange(40) % 2, 5, 9)
    known = replace(given, before=cut, tokens_after=lengths, kl_reference=np.full(40, 3.0))
    refused = [replace(verdicts(*side), refused=np.arange(40) < n) for side, n in (((0.2, 12), 20), ((0.9, 2), 4))]
    found = summarise(known, *refused, 200)
    assert (found["refused_share"].before.value, found["refused_share"].after.value) == (0.5, 0.1)
    assert verdict("refused_share", found["refused_share"]) == "better"
    assert (found["finished_share"].before.value, found["finished_share"].after.value) == (0.75, 1.0)
    assert verdict("finished_share", found["finished_share"]) == "better"
    assert found["kl_reference"].after.value == 3.0
    assert found["kl_per_token"].after.value == pytest.approx(known.kl.sum() / lengths.sum())
    assert found["win_rate_length_controlled"].before.value == 0.5
    assert verdict("win_rate_length_controlled", found["win_rate_length_controlled"]) == "better"
    assert {"refused_share", "kl_reference", "win_rate_length_controlled"}.isdisjoint(a_report().metrics)


def test_answers_that_became_one_are_more_alike():
    given = answered()
    one = tuple(replace(c, text="we are very sorry for the delay") for c in given.after)
    found = summarise(replace(given, after=one), verdicts(0.2, 12), verdicts(0.9, 2), 200)["self_bleu"]
    assert found.after.value == pytest.approx(1) and found.before.value < 0.6
    assert found.change.low > 0.3 and found.after.n == 40


def test_what_people_wrote_is_shown_inert(tmp_path):
    html = write_report(a_report(), tmp_path / "report").read_text()
    page = html[html.index("<body>") :]
    assert (
        "<script>alert" not in page and "<img src=x" not in page and "49" not in page.split("Answers, side by side")[1]
    )
    assert "&lt;script&gt;alert(1)" in page
    markdown = (tmp_path / "report" / "report.md").read_text()
    assert "<script>" not in markdown and "\n| \\<script" in markdown
    assert HOSTILE not in markdown


def test_simulated_labels_are_called_simulated_and_flagged_answers_start_hidden(tmp_path):
    html = write_report(a_report(), tmp_path / "report").read_text()
    assert "made by simulated annotators, not by people" in html
    assert html.count('<button class="hidden"') == 1
    assert "simulated annotators" in (tmp_path / "report" / "report.md").read_text()
    honest = write_report(a_report(simulated=False), tmp_path / "real").read_text()
    assert "simulated" not in honest[honest.index("<main>") :]


def test_the_page_needs_no_network(tmp_path):
    html = write_report(a_report(), tmp_path / "report").read_text()
    page = html[: html.index("<script>")] + html[html.index("<body>") :]
    assert 'src="http' not in page and 'href="http' not in page and "cdn" not in page


def test_a_report_without_curves_models_or_truth_is_still_a_page(tmp_path):
    sides = [Verdicts(Scores(("quality",), np.linspace(0, x, 40)[:, None])) for x in (1.0, 2.0)]
    metrics = summarise(answered(), *sides, 200)
    assert "unsafe_share" not in metrics
    bare = a_report(metrics=metrics, curves=(), reward_models=(), samples=())
    assert "<main>" in write_report(bare, tmp_path / "report").read_text()


def test_better_is_said_only_where_the_change_leaves_out_nought():
    def metric(low, high):
        return Metric(Interval(0.3, 0.2, 0.4, 50), Interval(0.1, 0.0, 0.2, 50), Interval(0, low, high, 50))

    assert verdict("unsafe_share", metric(-0.2, -0.1)) == "better"
    assert verdict("unsafe_share", metric(0.1, 0.2)) == "worse"
    assert verdict("unsafe_share", metric(-0.1, 0.1)) == ""
    assert verdict("quality", metric(0.1, 0.2)) == "better"
    assert verdict("length", metric(0.1, 0.2)) == ""
    assert verdict("win_rate", Metric(None, Interval(0.7, 0.6, 0.8, 50))) == "better"
    assert show("unsafe_share", Interval(0.25, 0.2, 0.3, 9)) == "25.0%"
    assert show("kl", None) == "–"


def test_a_folder_without_a_report_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no readable report\.json"):
        read_report(tmp_path)


def test_the_page_watch_calls_every_figure_as_the_report_does():
    import trueline.web

    said = (Path(trueline.web.__file__).parent / "static" / "findings.js").read_text("utf-8")
    missing = [name for name, (text, _) in LABELS.items() if f'{name}: t("{text}")' not in said]
    assert missing == []
    shares = said.split("const SHARES = [")[1].split("]")[0]
    assert {name.strip(' "\n') for name in shares.split(",")} - {""} == set(SHARES)
