"""The border between good and bad: scikit-learn's logistic regression, calibration against a known truth, and unseen
prompts."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Exchange, Prompt, Rating, Scores, split_of
from trueline.reward.border import Border, fit_border
from trueline.reward.linear import LinearReward

ANNA, BEN = Annotator("Anna"), Annotator("Ben")


def rated(marks, dimension="safety"):
    """marks: (score, ratings) of answers, one a prompt; the score is the answer's text."""
    exchanges = [Exchange.of(Prompt.from_user(f"question {i}"), str(score)) for i, (score, _) in enumerate(marks)]
    ratings = [
        Rating(e.completion.id, dimension, value, person)
        for e, (_, values) in zip(exchanges, marks, strict=True)
        for value, person in zip(values, (ANNA, BEN), strict=False)
    ]
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        (),
    )


class SaysItsText:
    """A model that has nothing to learn: an answer's score is its text."""

    dimensions = ("safety",)

    def fit(self, snapshot):
        pass

    def score(self, exchanges):
        return Scores(("safety",), np.array([[float(e.completion.text)] for e in exchanges]))


class KnowsByHeart(SaysItsText):
    """Tells bad from good without fail where it has learned from the answer; elsewhere its score is the text."""

    def fit(self, snapshot):
        self.seen = {r.completion_id: 3.0 if r.value > 2 else -3.0 for r in snapshot.ratings}

    def score(self, exchanges):
        values = [self.seen.get(e.completion.id, float(e.completion.text)) for e in exchanges]
        return Scores(("safety",), np.array(values)[:, None])


def drawn(n, slope, intercept, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n)
    bad = rng.random(n) < expit(slope * scores + intercept)
    return scores, bad, rated([(s, (1,) if b else (5,)) for s, b in zip(scores, bad, strict=True)])


def test_it_is_a_logistic_regression_of_bad_on_the_score():
    """Platt's smoothed targets, written as two weighted rows an answer; so few answers that all are held out."""
    scores, bad, snapshot = drawn(130, -2.0, -1.5)
    kept = np.array([split_of(Prompt.from_user(f"question {i}")) != "test" for i in range(130)])
    x, y = scores[kept], bad[kept]
    share = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    expected = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.concatenate([x, x])[:, None], np.repeat([1, 0], len(x)), np.concatenate([share, 1 - share])
    )
    found = fit_border(SaysItsText, snapshot, "safety", 2.0)
    assert found.slope == pytest.approx(expected.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(expected.intercept_[0], rel=1e-3)


def test_the_mean_cost_of_new_answers_is_their_bad_share():
    border = fit_border(SaysItsText, drawn(3000, -2.0, -1.5)[2], "safety", 2.0)
    scores, bad, _ = drawn(20_000, -2.0, -1.5, seed=1)
    cost = border.cost(Scores(("quality", "safety"), np.stack([scores[::-1], scores], 1)))
    assert cost.mean() == pytest.approx(bad.mean(), abs=0.02)
    assert cost[bad].mean() > cost[~bad].mean() + 0.2


def test_the_mean_rating_decides():
    """Of 1 and 3 the mean is 2, so bad; of 1 and 5 it is not; "not applicable" counts for nothing."""
    marks = [(-1.0, (1, 3)), (-1.0, (None, 2)), (1.0, (1, 5)), (1.0, (5, None)), (-1.0, (None, None))] * 40
    border = fit_border(SaysItsText, rated([(s + i / 1000, v) for i, (s, v) in enumerate(marks)]), "safety", 2.0)
    low, high = border.cost(Scores(("safety",), np.array([[-0.9], [1.1]])))
    assert low > 0.9 and high < 0.1


def test_a_model_is_asked_about_answers_that_it_has_not_learned_from():
    """By those that it knows by heart the border would be steep and of no use."""
    border = fit_border(KnowsByHeart, drawn(6000, -0.5, -0.8)[2], "safety", 2.0)
    assert (border.slope, border.intercept) == pytest.approx((-0.5, -0.8), abs=0.2)


def test_a_learned_reward_gives_the_share_of_answers_that_it_has_not_seen(planted):
    """People's marks of planted words: 1 and 2 are bad."""

    def new():
        return LinearReward(RewardConfig(features=("words",)), ("quality", "safety", "consistency"))

    snapshot = planted(120)
    border = fit_border(new, snapshot, "safety", 2.0)
    model = new()
    model.fit(snapshot)
    fresh = planted(120, seed=7)
    ids = [r.completion_id for r in fresh.ratings if r.dimension == "safety"]
    bad = np.array([r.value <= 2 for r in fresh.ratings if r.dimension == "safety"])
    cost = border.cost(model.score([fresh.exchange(i) for i in ids]))
    assert cost.mean() == pytest.approx(bad.mean(), abs=0.04)
    assert np.mean((cost > 0.5) == bad) > 0.9


@pytest.mark.parametrize(("mark", "words"), [(5, "no answer is bad in safety"), (1, "every answer is bad in safety")])
def test_where_nothing_is_to_be_told_apart_it_says_what_to_do(mark, words):
    with pytest.raises(InputError, match=f"{words} .a mean rating of 2 or lower.*rate more answers, change"):
        fit_border(SaysItsText, rated([(float(i), (mark,)) for i in range(30)]), "safety", 2.0)


def test_scores_that_go_the_wrong_way_are_refused():
    _, _, snapshot = drawn(500, 2.0, 0.0)
    with pytest.raises(InputError, match="does not tell bad answers from good ones on new prompts"):
        fit_border(SaysItsText, snapshot, "safety", 2.0)


def test_a_model_without_the_dimension_is_named():
    with pytest.raises(InputError, match="knows quality but not safety"):
        Border("safety", -1.0, 0.0).cost(Scores(("quality",), np.zeros((2, 1))))
