"""Gold items, drift, pace and repeats: counted by hand, and against scipy where it has the same."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from trueline.feedback.quality.drift import drift
from trueline.feedback.quality.gold import gold_scores
from trueline.feedback.quality.interval import wilson
from trueline.feedback.quality.pace import pace
from trueline.feedback.quality.repeats import Repeat, consistency
from trueline.feedback.quality.votes import Vote


def test_gold_preferences_must_point_the_right_way():
    truth = {"a": 2, "b": -1, "c": 0}
    said = {"ada": {"a": 1, "b": -3, "c": 0, "z": 3}, "bo": {"a": -1, "b": 0, "c": 1}, "cy": {"b": -1}, "dee": {"z": 1}}
    votes = [Vote(item, name, v) for name, row in said.items() for item, v in row.items()]
    ada, bo, cy = gold_scores(votes, truth, "preference")
    assert (ada.annotator, ada.right, ada.wrong) == ("ada", wilson(3, 3), ())
    assert (bo.annotator, bo.right, bo.wrong) == ("bo", wilson(0, 3), ("a", "b", "c"))
    assert (cy.annotator, cy.right) == ("cy", wilson(1, 1)) and cy.right.low < 0.3


def test_gold_marks_may_be_a_step_off_and_labels_may_not():
    votes = [Vote("a", "p", 4), Vote("b", "p", 1), Vote("c", "p", 3)]
    truth = {"a": 5, "b": 3, "c": 3}
    assert gold_scores(votes, truth, "mark")[0].right == wilson(2, 3)
    assert gold_scores(votes, truth, "mark")[0].wrong == ("b",)
    assert gold_scores(votes, truth, "label")[0].right == wilson(1, 3)
    assert gold_scores([], truth, "mark") == ()


def marks(rng, shift, items=120):
    """Three people, all items by each; `shift` is what the first adds in the second half; quality falls over time."""
    quality = np.linspace(4, 2, items)
    votes = []
    for i in range(items):
        for j, name in enumerate(("ada", "bo", "cy")):
            late = shift if j == 0 and i >= items // 2 else 0
            votes.append(Vote(f"i{i}", name, round(quality[i] + late + rng.normal(0, 0.5))))
    return votes


def test_drift_is_found_in_who_drifts_and_not_in_the_items():
    ada, bo, _ = drift(marks(np.random.default_rng(0), 1.0))
    assert ada.change is not None and ada.change.low > 0.5 and ada.change.high < 1.5 and ada.n == 120
    assert bo.change is not None and bo.change.value < -0.2  # beside somebody who got kinder
    still = drift(marks(np.random.default_rng(1), 0.0))
    assert all(d.change is not None and d.change.low < 0 < d.change.high for d in still)
    # As they are, the items that got worse look like people who got stricter.
    assert all(d.change.high < -0.5 for d in drift(marks(np.random.default_rng(1), 0.0), relative=False))


def test_drift_as_it_is_has_welchs_interval():
    rng = np.random.default_rng(4)
    values = np.round(rng.normal(3, 2, 15))
    (found,) = drift([Vote(f"i{i}", "ada", float(v)) for i, v in enumerate(values)], relative=False)
    theirs = ttest_ind(values[7:], values[:7], equal_var=False).confidence_interval(0.95)
    assert (found.first, found.second) == (pytest.approx(values[:7].mean()), pytest.approx(values[7:].mean()))
    assert found.change.low == pytest.approx(theirs.low, rel=1e-4)
    assert found.change.high == pytest.approx(theirs.high, rel=1e-4)


def test_drift_interval_keeps_its_promise():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        votes = [Vote(f"i{i}", "ada", int(rng.integers(1, 6))) for i in range(12)]
        change = drift(votes, relative=False)[0].change
        held += change.low <= 0 <= change.high
    assert 0.91 < held / 300 < 0.99


def test_few_labels_are_not_certain():
    short = [Vote("a", "ada", 5), Vote("b", "ada", 1), Vote("c", "ada", 1)]
    assert drift(short, relative=False)[0] == drift(short, relative=False)[0]
    assert drift(short, relative=False)[0].change is None
    (four,) = drift([Vote(i, "ada", v) for i, v in zip("abcd", (4, 4, 3, 3), strict=True)], relative=False)
    # Halves without any spread have that of rounding: ±4.303 × √(1/12) on 2 degrees of freedom.
    assert four.change.low == pytest.approx(-1 - 4.3027 / np.sqrt(12), abs=1e-3)
    assert [d.n for d in drift(short)] == [0] and drift([]) == ()


def test_pace_and_who_hurried():
    seconds = {"ada": [30, 40, 5, 50, 2], "bo": [40, 44, 48, 9], "cy": [3, 3, 3, 0.5, 0], "new": [1]}
    votes = [Vote(f"{name}{i}", name, s) for name, row in seconds.items() for i, s in enumerate(row)]
    ada, bo, cy, new = pace(votes)
    assert (ada.median, bo.median, cy.median, new.median) == (30, 42, 3, 1)
    assert ada.everyone == new.everyone == 16.5 and cy.times_faster == 5.5
    # Less than a quarter of their own median and of everyone's, 4.125 s.
    assert (ada.hasty, bo.hasty, cy.hasty, new.hasty) == (("ada4",), (), ("cy3",), ())
    assert cy.n == 4 and pace([]) == () and pace([Vote("a", "p", 0)]) == ()


def test_repeats_that_follow_the_answer_and_those_that_follow_the_side():
    said = [(2, -1), (-3, -1), (-1, -2), (1, 3), (0, 0), (0, 1), (-2, -2)]
    repeats = [Repeat(f"i{k}", "ada", a, b) for k, (a, b) in enumerate(said)]
    repeats.append(Repeat("same", "ada", 2, 1, flipped=False))
    repeats.append(Repeat("i0", "bo", 1, -1))
    ada, bo = consistency(repeats, "preference")
    assert ada.same == wilson(3, 8)  # the first, the two ties, the one that was not flipped
    assert ada.one_sided == wilson(4, 7)
    assert ada.left == wilson(3, 4)
    assert bo.same == wilson(1, 1) and bo.one_sided == wilson(0, 1) and bo.left is None


def test_repeated_marks_have_no_sides():
    repeats = [Repeat("a", "p", 4, 5), Repeat("b", "p", 1, 5), Repeat("c", "p", 3, 3)]
    (found,) = consistency(repeats, "mark")
    assert found.same == wilson(2, 3) and found.one_sided is None and found.left is None
    assert consistency([Repeat("a", "p", "x", "x")], "label")[0].same == wilson(1, 1)
