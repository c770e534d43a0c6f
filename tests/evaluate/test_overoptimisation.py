"""The published curves against scipy."""

import numpy as np
import pytest
from scipy.optimize import curve_fit, minimize_scalar

from trueline.errors import InputError
from trueline.evaluate.overoptimisation import fit_curve, value

FORMS = {
    "best_of_n": lambda d, a, b: d * (a - b * d),
    "rl": lambda d, a, b: d * (a - b * np.log(d)),
}
KL = np.linspace(0.5, 60, 25)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("known", [True, False])
def test_fits_and_errors_are_scipys(form, known):
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.02, 0.2, 25)
    gain = FORMS[form](np.sqrt(KL), 0.6, 0.2) + rng.normal(0, errors)
    found = fit_curve(form, KL, gain, errors if known else None)
    best, covariance = curve_fit(
        FORMS[form], np.sqrt(KL), gain, (1, 1), sigma=errors if known else None, absolute_sigma=known
    )
    assert (found.alpha, found.beta) == pytest.approx(tuple(best), abs=1e-6)
    assert (found.alpha_error, found.beta_error) == pytest.approx(tuple(np.sqrt(np.diag(covariance))), rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_peak_is_where_the_curve_is_highest(form):
    gain = FORMS[form](np.sqrt(KL), 0.6, 0.2)
    found = fit_curve(form, KL, gain)
    highest = minimize_scalar(lambda d: -FORMS[form](d, 0.6, 0.2), bounds=(0.01, 30), method="bounded")
    assert (found.alpha, found.beta, found.r_squared) == pytest.approx((0.6, 0.2, 1.0))
    assert found.peak == pytest.approx(highest.x, abs=1e-4) and found.peak_gain == pytest.approx(-highest.fun)
    assert value(form, 0.6, 0.2, np.sqrt(KL)) == pytest.approx(gain)
    assert found.peak_seen is bool(found.peak <= np.sqrt(60))
    near = KL / 60
    assert fit_curve(form, near, FORMS[form](np.sqrt(near), 0.6, 0.2)).peak_seen is False


@pytest.mark.parametrize("form", FORMS)
def test_a_curve_that_only_rises_has_no_peak(form):
    found = fit_curve(form, KL, FORMS[form](np.sqrt(KL), 0.3, -0.05))
    assert (found.peak, found.peak_gain, found.peak_seen) == (None, None, False)


def test_the_start_and_negative_estimates_of_kl_change_nothing():
    gain = FORMS["rl"](np.sqrt(KL), 0.6, 0.2)
    found = fit_curve("rl", np.append([0.0, -0.1], KL), np.append([0.0, 0.3], gain), np.full(27, 0.1))
    assert (found.alpha, found.beta) == pytest.approx((0.6, 0.2))


def test_two_points_are_too_few():
    with pytest.raises(InputError, match="three points"):
        fit_curve("rl", np.array([0.0, 1.0, 1.0, 2.0]), np.zeros(4))
