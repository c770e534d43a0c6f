"""Figures of a reward model against scikit-learn, SciPy and closed forms, and what must hold of any model."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, kendalltau, pearsonr, spearmanr
from sklearn.metrics import brier_score_loss, roc_auc_score

from trueline.evaluate.by_prompt import bootstrap_by_prompt, share_by_prompt
from trueline.evaluate.held_out import ScoredPairs, ScoredRatings, score_answers, scored_pairs, scored_ratings
from trueline.evaluate.reward_compare import duel, mcnemar
from trueline.evaluate.reward_metrics import auc, figures, tie_threshold
from trueline.evaluate.risk import risk, risks
from trueline.evaluate.slices import slices
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating, Scores

RNG = np.random.default_rng(0)


def pairs(margin, preference, prompts=None, std=None):
    n = len(margin)
    prompts = prompts or [f"p{i}" for i in range(n)]
    ids = [f"a{i}" for i in range(n)], [f"b{i}" for i in range(n)]
    return ScoredPairs(*ids, prompts, np.asarray(preference, float), np.asarray(margin, float), std, np.ones(n))


def ratings(score, mean, std=None):
    n = len(score)
    return ScoredRatings(
        [str(i) for i in range(n)],
        [f"p{i // 2}" for i in range(n)],
        np.asarray(mean, float),
        np.asarray(mean, float),
        np.asarray(score, float),
        std,
        np.asarray(score, float) ** 2,
    )


NO_PAIRS = pairs([], [])
NO_RATINGS = ratings([], [])


def test_correlations_and_auc_equal_scipy_and_scikit_learn():
    mean = RNG.integers(1, 6, 120).astype(float)
    score = mean + RNG.normal(0, 1.5, 120)
    found = figures(NO_PAIRS, ratings(score, mean), resamples=50)
    assert found.pearson.value == pytest.approx(pearsonr(score, mean).statistic)
    assert found.spearman.value == pytest.approx(spearmanr(score, mean).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(score, mean).statistic)
    clear = mean != 3
    assert found.auc.value == pytest.approx(roc_auc_score(mean[clear] >= 4, score[clear]))
    assert found.length_correlation.value == pytest.approx(spearmanr(score, score**2).statistic)
    assert found.pearson.low < found.pearson.value < found.pearson.high and found.pearson.n == 60
    tied = RNG.integers(0, 3, 50)
    assert auc(tied, tied + RNG.integers(0, 2, 50) > 1) >= 0.5


def test_accuracy_leaves_out_ties_of_people_and_counts_ties_of_the_model_as_wrong():
    found = figures(pairs([1, -1, 0, 2, 0.1], [1, 1, 1, 0, -1]), NO_RATINGS, resamples=50)
    assert (found.n_pairs, found.n_ties) == (4, 1) and found.accuracy.value == 1 / 4


def test_brier_equals_scikit_learn_over_both_orders():
    preference = RNG.choice([-1.0, 1.0], 200)
    margin = preference * RNG.normal(0.5, 1, 200)
    p = expit(margin / 0.8)
    found = figures(pairs(margin, preference), NO_RATINGS, temperature=0.8, resamples=50)
    assert found.brier.value == pytest.approx(brier_score_loss(preference > 0, p))
    assert sum(n for *_, n in found.reliability) == 400


def test_a_perfect_model_a_constant_one_and_shuffled_labels():
    preference = RNG.choice([-1.0, 1.0], 3000)
    assert figures(pairs(preference, preference), NO_RATINGS, resamples=50).accuracy.value == 1
    assert figures(pairs(np.zeros(3000), preference), NO_RATINGS, resamples=50).accuracy.value == 0
    chance = figures(pairs(RNG.normal(size=3000), preference), NO_RATINGS, resamples=50).accuracy
    assert abs(chance.value - 0.5) < 0.03 and chance.low < 0.5 < chance.high


def test_the_tie_threshold_orders_most_pairs_rightly():
    preference = RNG.choice([-1.0, 0.0, 1.0], 400)
    margin = preference + RNG.normal(0, 0.4, 400)
    p = pairs(margin, preference)

    def right(t):
        return np.mean(np.where(np.abs(margin) <= t, 0, np.sign(margin)) == preference)

    assert right(tie_threshold(p)) == max(right(t) for t in [0, *np.abs(margin)])
    assert tie_threshold(pairs([1.0, -1.0], [1, -1])) == 0


def test_intervals_draw_prompts_not_labels():
    """20 labels of one prompt that all agree are worth one: the interval is that of 30 labels, not of 600."""
    hits = RNG.random(30) < 0.6
    prompts = [f"p{i}" for i in range(30) for _ in range(20)]
    many = share_by_prompt(prompts, np.repeat(hits, 20))
    few = share_by_prompt([f"p{i}" for i in range(30)], hits)
    assert many.n == few.n == 30
    assert (many.low, many.high) == pytest.approx((few.low, few.high), abs=0.05)
    assert bootstrap_by_prompt(["p", "p"], lambda r: 1.0) is None


@pytest.mark.slow
def test_intervals_cover_the_truth():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        per_prompt = rng.beta(2, 1, 60)
        hits = rng.random((60, 4)) < per_prompt[:, None]
        found = share_by_prompt([f"p{i}" for i in range(60) for _ in range(4)], hits.ravel(), resamples=400)
        covered += found.low <= 2 / 3 <= found.high
    assert 0.9 <= covered / 200 <= 0.99


def test_mcnemar_is_the_binomial():
    assert mcnemar(3, 12) == pytest.approx(min(1, 2 * binom.cdf(3, 15, 0.5)))
    assert mcnemar(0, 0) == 1 and mcnemar(5, 5) == 1


def test_two_models_on_the_same_pairs():
    preference = np.ones(100)
    good, bad = np.ones(100), np.ones(100)
    bad[:30], good[:5] = -1, -1
    found = duel(pairs(bad, preference), pairs(good, preference), resamples=200)
    assert (found.only_first, found.only_second) == (0, 25)
    assert found.difference.value == pytest.approx(0.25) and found.difference.low > 0.1 and found.p < 1e-6
    with pytest.raises(ValueError, match="different pairs"):
        duel(pairs([1], [1]), pairs([1, 1], [1, 1]))


def test_risk_falls_with_coverage_where_the_doubt_is_true():
    std = RNG.uniform(0.1, 2, 2000)
    mean = RNG.normal(3, 1, 2000)
    score = mean + RNG.normal(0, 1, 2000) * std
    found = risk(NO_PAIRS, ratings(score, mean, std), resamples=50)
    assert found.of == "ratings" and found.grows.low > 0.1 and found.area.value < 0.9 * found.chance
    assert found.curve[-1] == (1.0, pytest.approx(found.chance))
    blind = risk(NO_PAIRS, ratings(score, mean, RNG.permutation(std)), resamples=50)
    assert abs(blind.grows.value) < 0.08 and blind.area.value == pytest.approx(blind.chance, rel=0.1)
    assert risk(NO_PAIRS, ratings(score, mean)) is None


def test_risks_by_hand():
    np.testing.assert_allclose(risks(np.array([1.0, 0, 1, 0]), np.array([3.0, 1, 2, 2])), [0, 1 / 4, 1 / 3, 1 / 2])


class ByWord:
    """Scores an answer by how often it says "good"."""

    dimensions = ("quality",)
    temperature = np.array([1.0])

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([[float(e.completion.text.count("good"))] for e in exchanges]))


def labelled(n=40):
    exchanges, comparisons, marks = [], [], []
    for i in range(n):
        prompt = Prompt.from_user(f"question {i}", {"topic": "late" if i % 2 else "broken"})
        a, b = Exchange.of(prompt, f"good good {i}"), Exchange.of(prompt, f"bad {i}")
        exchanges += [a, b]
        comparisons.append(
            Comparison(a.completion.id, b.completion.id, "quality", -2 if i % 2 else 2, Annotator("Anna"))
        )
        marks.append(Rating(a.completion.id, "quality", 5, Annotator("Ben")))
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        marks,
        comparisons,
    )


def test_figures_of_a_snapshot_and_its_slices():
    s = labelled()
    scored = score_answers(ByWord(), s)
    p, r = scored_pairs(scored, s, "quality"), scored_ratings(scored, s, "quality")
    assert len(p.a) == 40 and set(p.margin * np.sign(p.margin)) == {2.0} and len(r.ids) == 40
    assert figures(p, r, resamples=50).accuracy.value == 0.5
    found = {(x.by, x.name): x for x in slices(scored, s, "quality")}
    assert found["topic", "late"].figure.value == 1 and found["topic", "broken"].figure.value == 0
    assert found["topic", "late"].labels == 20 and ("annotator", "Anna") in found
