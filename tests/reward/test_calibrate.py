"""Temperature, Platt, isotonic and ECE against closed forms, scikit-learn and data drawn from a known truth."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from trueline.reward.calibrate import expected_calibration_error, isotonic, platt, reliability, temperature


@pytest.mark.parametrize("truth", [0.3, 1.0, 4.0])
def test_the_temperature_that_the_data_was_drawn_with_is_found(truth):
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 3, 60_000)
    preferred = rng.random(60_000) < expit(margins / truth)
    assert temperature(np.where(preferred, margins, -margins)) == pytest.approx(truth, rel=0.03)


def test_the_temperature_is_that_of_a_logistic_regression():
    rng = np.random.default_rng(1)
    margins = rng.normal(0.4, 1, 300)
    weights = rng.integers(1, 4, 300).astype(float)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    model.fit(np.concatenate([margins, -margins])[:, None], np.repeat([1, 0], 300), np.concatenate([weights, weights]))
    assert temperature(margins, weights) == pytest.approx(1 / model.coef_[0, 0], rel=1e-3)


def test_margins_that_tell_nothing_give_a_flat_probability():
    rng = np.random.default_rng(2)
    assert expit(1 / temperature(np.concatenate([m := rng.normal(size=200), -m]))) == pytest.approx(0.5, abs=0.01)


def test_platt_finds_the_line_behind_the_labels():
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 2, 50_000)
    a, b = platt(scores, rng.random(50_000) < expit(0.7 * scores - 0.4))
    assert (a, b) == pytest.approx((0.7, -0.4), abs=0.03)


def test_isotonic_never_falls_and_keeps_the_mean():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=500)
    hits = rng.random(500) < expit(3 * np.sin(scores))
    knots, levels = isotonic(scores, hits)
    assert np.all(np.diff(knots) >= 0) and np.all(np.diff(levels) >= 0)
    assert np.interp(scores, knots, levels).mean() == pytest.approx(hits.mean(), abs=1e-9)


def test_the_error_by_hand():
    p, hits = np.array([0.05, 0.05, 0.95, 0.95, 1.0]), np.array([0, 1, 1, 1, 1])
    assert reliability(p, hits) == [(0.05, 0.5, 2), (pytest.approx(2.9 / 3), 1.0, 3)]
    assert expected_calibration_error(p, hits) == pytest.approx((2 * 0.45 + 3 * (1 - 2.9 / 3)) / 5)


def test_the_error_falls_when_scores_are_calibrated():
    rng = np.random.default_rng(5)
    margins = rng.normal(0, 2, 20_000)
    hits = rng.random(20_000) < expit(margins / 3)
    t = temperature(np.where(hits, margins, -margins))
    assert expected_calibration_error(expit(margins), hits) > 0.1
    assert expected_calibration_error(expit(margins / t), hits) < 0.02
