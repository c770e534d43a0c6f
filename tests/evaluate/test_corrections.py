"""Holm over a report against his own procedure, and how often a report of nothing says something."""

import numpy as np
import pytest
from scipy.stats import norm

from trueline.evaluate.compare import Metric
from trueline.evaluate.corrections import corrected, p_value
from trueline.evaluate.statistics import Interval, bootstrap_mean, paired_difference
from trueline.evaluate.wording import verdict


def change_at(z, error=0.1):
    """A normal change of so many standard errors."""
    return Interval(z * error, (z - 1.959964) * error, (z + 1.959964) * error, 200)


def report(zs):
    some = Interval(0.5, 0.4, 0.6, 200)
    return {f"dimension {i}": Metric(some, some, change_at(z)) for i, z in enumerate(zs)}


def stepped_down(p):
    """Holm 1979 as he wrote it: go on from the smallest p while it is below 5% over those that are left."""
    stands = [False] * len(p)
    for done, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] >= 0.05 / (len(p) - done):
            break
        stands[i] = True
    return stands


@pytest.mark.parametrize("z", [-3.0, -1.0, 0.0, 0.5, 1.9, 4.0])
def test_p_of_a_normal_interval_is_that_of_its_z(z):
    assert p_value(change_at(z)) == pytest.approx(2 * norm.sf(abs(z)), rel=1e-4)


def test_p_is_under_five_percent_just_where_the_interval_leaves_out_nought():
    rng = np.random.default_rng(0)
    for _ in range(500):
        value = rng.normal()
        found = Interval(value, value - rng.exponential(), value + rng.exponential(), 50)
        assert (p_value(found) < 0.05) == (not found.low <= 0 <= found.high)
    assert p_value(Interval(2.0, 2.0, 2.0, 9)) == 0.0 and p_value(Interval(0.0, 0.0, 0.0, 9)) == 1.0


def test_it_is_holms_procedure():
    rng = np.random.default_rng(1)
    for _ in range(300):
        zs = rng.normal(0, 2.5, rng.integers(1, 12))
        assert list(corrected(report(zs)).values()) == stepped_down([2 * norm.sf(abs(z)) for z in zs])


def test_what_has_no_better_side_takes_no_part():
    metrics = report([2.1])
    metrics["length"] = metrics["self_bleu"] = Metric(None, None, change_at(1.0))
    metrics["perplexity"] = Metric(None, Interval(3, 2, 4, 9))
    assert corrected(metrics) == {"dimension 0": True}
    metrics["win_rate"] = Metric(None, Interval(0.5, 0.45, 0.55, 200))
    assert corrected(metrics) == {"dimension 0": False, "win_rate": False}
    assert corrected({}) == {}


def test_a_win_rate_is_told_from_one_half():
    assert corrected({"win_rate": Metric(None, Interval(0.6, 0.53, 0.67, 200))}) == {"win_rate": True}
    assert corrected({"win_rate": Metric(None, Interval(0.5, 0.43, 0.57, 200))}) == {"win_rate": False}


def test_reports_of_no_change_rarely_say_one_and_true_changes_stand():
    """Ten figures of 200 prompts each, half of them verdicts."""
    rng, said, stood, true = np.random.default_rng(2), 0, 0, 0
    for _ in range(400):
        metrics = {}
        for i in range(10):
            before, after = rng.random((2, 200)) if i % 2 else rng.random((2, 200)) < 0.3
            metrics[f"d{i}"] = Metric(None, None, paired_difference(before, after))
        said += any(verdict(name, metric) for name, metric in metrics.items())
        stood += any(corrected(metrics).values())
        metrics["d1"] = Metric(None, None, paired_difference(rng.random(200), rng.random(200) + 0.15))
        true += corrected(metrics)["d1"]
    assert said / 400 > 0.3
    assert stood / 400 < 0.08
    assert true / 400 > 0.9


def test_bootstrapped_win_rates_are_corrected_as_well():
    rng = np.random.default_rng(3)
    wins = {f"win_rate{'' if i == 0 else '_length_controlled'}": bootstrap_mean(rng.random(400)) for i in range(2)}
    assert not any(corrected({name: Metric(None, found) for name, found in wins.items()}).values())
