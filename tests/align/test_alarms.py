"""Each alarm rings for its trouble, names a remedy, and is silent on a healthy run."""

import pytest

from trueline.align.alarms import alarms
from trueline.config import ConstraintConfig


def healthy(n=40):
    return [
        {
            "step": i,
            "ratio_gap": 1e-6,
            "logprob_gap": 1e-6,
            "kl": 0.05 * i,
            "entropy": 0.6 - 0.005 * i,
            "length": 20.0 + 0.1 * i,
            "advantage_spread": 1.0,
            "explained_variance": 0.3,
            "clip_fraction": 0.1,
        }
        for i in range(n)
    ]


def with_last(**changes):
    rows = healthy()
    for row in rows[-10:]:
        row.update(changes)
    return rows


def test_a_healthy_run_is_silent_at_every_step():
    rows = healthy()
    assert [alarms(rows[:i]) for i in range(1, len(rows) + 1)] == [[]] * len(rows)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ratio_gap": 0.1, "logprob_gap": 0.02}, "sampling and training disagree"),
        ({"kl": -0.8}, "negative"),
        ({"entropy": 0.02}, "hardly varies"),
        ({"length": 60.0}, "grew from 20 to 60"),
        ({"length": 3.0}, "shrank from 20 to 3"),
        ({"advantage_spread": 0.0}, "nothing is learned"),
        ({"explained_variance": -0.1}, "critic explains nothing"),
    ],
)
def test_one_trouble_rings_one_alarm(changes, word):
    found = alarms(with_last(**changes))
    assert len(found) == 1 and word in found[0]


def test_a_young_critic_is_given_time():
    rows = [{**row, "explained_variance": 0.0} for row in healthy(19)]
    assert alarms(rows) == []
    assert len(alarms([{**row, "explained_variance": 0.0} for row in healthy(20)])) == 1


def test_q_learning_succeeds_with_nothing_left_to_explain():
    rows = [{k: v for k, v in row.items() if k != "clip_fraction"} for row in with_last(explained_variance=-5.0)]
    assert alarms(rows) == []


def test_a_run_without_a_critic_or_a_kl_is_no_fault():
    rows = [{k: v for k, v in row.items() if k not in ("kl", "explained_variance")} for row in healthy()]
    assert alarms(rows) == []


@pytest.mark.parametrize(
    ("multiplier", "share", "rings"), [(20.0, 0.3, True), (19.0, 0.3, False), (20.0, 0.05, False), (20.0, 0.06, True)]
)
def test_a_limit_that_is_not_kept_at_the_highest_price_rings(multiplier, share, rings):
    rows = with_last(multiplier=multiplier, bad_share=share)
    found = alarms(rows, ConstraintConfig(dimension="safety", limit=0.05, most=20.0))
    assert len(found) == rings
    assert not rings or (f"{share:.1%} of the answers are bad in safety" in found[0] and "constraint.most" in found[0])


def test_a_constraint_is_given_time():
    constraint = ConstraintConfig(dimension="safety")
    rows = [{**row, "multiplier": 20.0, "bad_share": 0.5} for row in healthy(5)]
    assert alarms(rows[:4], constraint) == [] and len(alarms(rows, constraint)) == 1
