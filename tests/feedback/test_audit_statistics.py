"""The audit's tests and intervals against closed forms and against what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from trueline.feedback.audit.annotators import leniency
from trueline.feedback.audit.audit import judged
from trueline.feedback.audit.findings import Finding
from trueline.feedback.audit.statistics import holm, share, shares, sign_flip
from trueline.feedback.audit.tables import RatingTable


@pytest.mark.parametrize(("hits", "n"), [(60, 100), (130, 200), (55, 100), (9, 10), (240, 300)])
def test_sign_flips_of_equal_clusters_are_the_sign_test(hits, n):
    scores = np.where(np.arange(n) < hits, 0.5, -0.5)
    p = float(sign_flip(scores[:, None])[0])
    truth = binomtest(hits, n).pvalue
    assert p == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / 9999) + 1e-4)
    if truth < 1e-6:
        assert abs(np.log10(p / truth)) < 1.5


def test_sign_flips_keep_their_promise_on_clusters_of_any_size():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 12, (60, 400))
    p = sign_flip(rng.choice([-1.0, 1.0], (60, 400)) * size * rng.exponential(1, (60, 400)))
    assert np.mean(p <= 0.05) < 0.085 and np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_a_share_of_single_cases_has_the_binomial_interval():
    hits = np.r_[np.ones(120), np.zeros(180)]
    value, low, high = share(hits, np.ones(300), 4000)
    reach = norm.ppf(0.975) * np.sqrt(0.4 * 0.6 / 300)
    assert value == 0.4 and low == pytest.approx(0.4 - reach, abs=0.01) and high == pytest.approx(0.4 + reach, abs=0.01)


def test_cases_of_one_prompt_widen_the_interval():
    hits = np.r_[np.ones(12), np.zeros(18)]
    narrow = share(np.repeat(hits, 10), np.ones(300), 2000)
    wide = share(hits * 10, np.full(30, 10.0), 2000)
    assert wide[2] - wide[1] == pytest.approx(np.sqrt(10) * (narrow[2] - narrow[1]), rel=0.15)


def test_shares_where_all_agree_are_not_certain():
    hits, of = np.array([[0.0, 1.0]] * 20), np.ones((20, 2))
    value, low, high = shares(hits, of, 200)
    # Wilson: z^2 / (n + z^2) = 3.8415 / 23.8415.
    assert value.tolist() == [0, 1] and high[0] == pytest.approx(0.16113, abs=1e-4)
    assert low.tolist() == pytest.approx([0, 1 - 0.16113], abs=1e-4)


def test_holm_with_equal_weights_is_the_one_of_the_textbooks():
    # Sorted .005 .01 .03 .04: times 4, 3, 2, 1, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005], [1, 1, 1, 1]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_many_tests_of_one_kind_do_not_drown_another():
    def a_test(i, aspect, p):
        return Finding(f"{aspect}/{i}", aspect, "", "", "", p=p)

    crowd = [a_test(i, "topic", 0.9) for i in range(100)]
    alone = judged([a_test(0, "length", 0.02), *crowd])[0]
    assert alone.severity == "warning" and alone.adjusted == pytest.approx(0.04)
    one_of_many = judged([a_test(0, "length", 0.9), *crowd[1:], a_test(0, "topic", 0.02)])[-1]
    assert one_of_many.severity == "ok"
    assert {f.severity for f in judged(crowd)} == {"ok"}


def test_all_tests_together_err_in_one_audit_of_twenty():
    rng = np.random.default_rng(1)
    weights = [1.0] * 3 + [0.05] * 20 + [1 / 6] * 6
    wrong = np.mean([(holm(rng.uniform(size=29), weights) <= 0.05).any() for _ in range(4000)])
    assert wrong == pytest.approx(0.05, abs=0.012)


def rating_table(rng, n_items, people, each, effects, item_spread, noise):
    item = np.repeat(np.arange(n_items), each)
    person = np.concatenate([rng.permutation(people)[:each] for _ in range(n_items)])
    value = rng.normal(0, item_spread, n_items)[item] + effects[person] + rng.normal(0, noise, len(item))
    names = [f"p{i}" for i in range(people)]
    return RatingTable("quality", [str(i) for i in range(n_items)], value, item, item // 2, person, names)


def test_leniency_is_least_squares_of_items_and_people_where_items_differ_much():
    rng = np.random.default_rng(2)
    table = rating_table(rng, 200, 5, 3, rng.normal(0, 0.5, 5), item_spread=50.0, noise=0.5)
    design = np.concatenate([np.eye(200)[table.item], np.eye(5)[table.person]], axis=1)
    effect = np.linalg.lstsq(design, table.value, rcond=None)[0][200:]
    share = np.bincount(table.person) / len(table.person)
    assert leniency(table).effect == pytest.approx(effect - share @ effect, abs=2e-3)


def test_intervals_of_leniency_hold_the_truth_19_times_of_20():
    rng, held = np.random.default_rng(3), []
    for _ in range(150):
        effects = rng.normal(0, 0.4, 5)
        table = rating_table(rng, 160, 5, 2, effects, item_spread=0.8, noise=0.6)
        fit, share = leniency(table), np.bincount(table.person) / 320
        held += list(np.abs(fit.effect - (effects - share @ effects)) < 1.98 * fit.error)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_shrunken_effects_are_nearer_the_truth():
    rng, plain, shrunken = np.random.default_rng(4), 0.0, 0.0
    for _ in range(60):
        effects = rng.normal(0, 0.1, 12)
        table = rating_table(rng, 100, 12, 2, effects, item_spread=0.8, noise=1.0)
        fit, share = leniency(table), np.bincount(table.person, minlength=12) / 200
        truth = effects - share @ effects
        plain, shrunken = plain + ((fit.effect - truth) ** 2).sum(), shrunken + ((fit.shrunken - truth) ** 2).sum()
    assert shrunken < 0.6 * plain
