"""Judges that score, and agreement: against counts by hand, scikit-learn, and what must hold of any judge."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from trueline.evaluate.judges.agreement import agreement_matrix, agreement_with_people, verdict_agreement
from trueline.evaluate.judges.reward import RewardJudge
from trueline.evaluate.judges.rules import Rule, RulesJudge
from trueline.evaluate.judges.truth import TruthJudge
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Scores
from trueline.scenarios import customer_service
from trueline.scenarios.base import Scenario, Truth


def answers(*texts):
    return [Exchange.of(Prompt.from_user(f"question {i}"), text) for i, text in enumerate(texts)]


def figures(exchange):
    return [float(x) for x in exchange.completion.text.split()]


def graded(exchange):
    quality, safety, consistency = figures(exchange)
    return Truth(quality, safety, consistency, safe=safety >= 0.5, consistent=consistency >= 0.5)


SCENARIO = Scenario("graded", None, None, graded, None)


@dataclass(frozen=True)
class Reader:
    """A reward model that reads its scores from the text."""

    dimensions: tuple = ("quality", "safety", "consistency")

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([figures(e) for e in exchanges]))


RATERS = (TruthJudge(SCENARIO), RewardJudge(Reader()))


@pytest.mark.parametrize("judge", RATERS)
def test_who_rates_prefers_the_larger_sum_of_all_dimensions(judge):
    before = answers("0 0 0", "1 1 1", "0.1 0.2 0.3", "1 0 0", "0.9 0.9 0")
    after = answers("0 0 0.1", "1 1 0.9", "0.3 0.2 0.1", "0 0 1", "0 0 1")
    assert judge.compare(before, after).tolist() == [1, 0, 0.5, 0.5, 0]
    assert judge.rate(before).scores.values.tolist() == [figures(e) for e in before]


@pytest.mark.parametrize("judge", [*RATERS, RulesJudge((Rule(name="one", must_have=("1",)),))])
def test_the_sides_turned_give_the_opposite_and_a_text_ties_with_itself(judge):
    rng = np.random.default_rng(0)
    one, two = (answers(*(" ".join(map(str, row)) for row in rng.integers(0, 2, (40, 3)))) for _ in range(2))
    forth, back = judge.compare(one, two), judge.compare(two, one)
    assert set(forth) == {0, 0.5, 1} and (forth == 1 - back).all()
    assert (judge.compare(one, one) == 0.5).all() and judge.compare([], []).shape == (0,)


def test_a_score_that_is_not_a_number_is_no_verdict():
    found = RewardJudge(Reader()).compare(answers("nan 0 0", "0 0 0"), answers("0 0 0", "0 0 1"))
    assert np.isnan(found[0]) and found[1] == 1


def test_answers_to_different_prompts_are_not_compared():
    both = answers("0 0 0", "1 1 1")
    for before, after in ((both, both[::-1]), (both, both[:1])):
        with pytest.raises(ValueError):
            RATERS[0].compare(before, after)


def test_the_truth_says_what_is_safe_and_consistent():
    verdicts = RATERS[0].rate(answers("0 1 0", "0 0 1"))
    assert verdicts.safe.tolist() == [True, False] and verdicts.consistent.tolist() == [False, True]
    assert TruthJudge(SCENARIO, ("safety",)).rate(answers("0 1 0", "0 0 1")).scores.values.tolist() == [[1], [0]]


def test_the_embedded_scenario_prefers_its_own_good_replies_to_gibberish():
    scenario = customer_service.SCENARIO
    good = list(scenario.held_out_text(10, 0))
    bad = [Exchange.of(e.prompt, "kettle kettle zzz") for e in good]
    assert TruthJudge(scenario).compare(bad, good).tolist() == [1.0] * 10


@dataclass(frozen=True)
class Sure:
    """Says of every pair what it was made with, by the text of the answer after."""

    verdicts: dict
    name: str = "sure"

    def rate(self, exchanges):
        return None

    def compare(self, before, after):
        assert len({a.completion.id for a in after}) == len(after), "a pair is asked about twice"
        return np.array([self.verdicts[e.completion.text] for e in after])


def snapshot(preferences, people=1):
    """Pair i of prompt i // 2, its answers "a{i}" and "b{i}"; the preferences as (pairs, people), > 0 for b."""
    exchanges, comparisons = [], []
    for i, row in enumerate(np.asarray(preferences).reshape(-1, people)):
        prompt = Prompt.from_user(f"question {i // 2}")
        a, b = Exchange.of(prompt, f"a{i}"), Exchange.of(prompt, f"b{i}")
        exchanges += [a, b]
        for k, p in enumerate(row):
            said = Comparison(a.completion.id, b.completion.id, "overall", int(p), Annotator(f"person {k}"))
            comparisons.append(said)
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges}, {e.completion.id: e.completion for e in exchanges},
        (), tuple(comparisons),
    )  # fmt: skip


def test_agreement_with_people_counts_ties_as_it_says():
    people = [3, 1, -2, -1, 1, 0, 0, 2]
    judge = Sure({f"b{i}": v for i, v in enumerate([1, 1, 0, 1, 0.5, 0.5, 1, np.nan])})
    found = agreement_with_people(judge, snapshot(people))
    assert found.clear.value == pytest.approx((1 + 1 + 1 + 0 + 0.5) / 5)
    assert found.every.value == pytest.approx((1 + 1 + 1 + 0 + 0 + 1 + 0) / 7)
    assert (found.n_clear, found.n_every, found.unjudged) == (5, 7, 1)
    assert found.every.n == 4 and found.every.low < found.every.value < found.every.high
    assert agreement_with_people(judge, snapshot(people), "quality").clear is None


def test_agreement_without_ties_is_scikit_learns_accuracy_and_asks_of_each_pair_once():
    rng = np.random.default_rng(1)
    people, judge = rng.choice([-2, -1, 1, 3], (200, 3)), rng.integers(0, 2, 200)
    data = snapshot(people, people=3)
    verdicts = {f"b{i}": v for i, v in enumerate(judge)}
    found = agreement_with_people(Sure(verdicts), data)
    assert found.clear.value == pytest.approx(accuracy_score((people > 0).ravel(), np.repeat(judge, 3)))
    assert found.clear == found.every and found.n_clear == 600
    # About 100 prompts of 6 comparisons each: the interval is about a binomial one.
    assert (found.clear.high - found.clear.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(600), rel=0.25)


def test_the_interval_draws_prompts_not_labels():
    """The same people saying the same twice are no more evidence."""
    rng = np.random.default_rng(2)
    people, judge = rng.choice([-1, 1], (100, 1)), {f"b{i}": v for i, v in enumerate(rng.integers(0, 2, 100))}
    once = agreement_with_people(Sure(judge), snapshot(people)).clear
    often = agreement_with_people(Sure(judge), snapshot(np.repeat(people, 5, 1), people=5)).clear
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_judges_with_each_other():
    nan = np.nan
    share, n = verdict_agreement(
        np.array([[1, 0, 0.5, nan, 1], [1, 1, 0.5, 0, 0.67], [0, nan, nan, 0, nan], [nan] * 5])
    )
    expected = [[1, 3 / 4, 0, nan], [3 / 4, 1, 1 / 2, nan], [0, 1 / 2, 1, nan], [nan] * 4]
    np.testing.assert_allclose(share, expected)
    assert n.tolist() == [[4, 4, 1, 0], [4, 5, 2, 0], [1, 2, 2, 0], [0] * 4]


def test_a_matrix_of_judges_is_that_of_their_verdicts():
    before, after = answers("0 0 0", "1 0 0", "1 1 0"), answers("1 0 0", "1 0 0.5", "0 0 0")
    other = Sure({"1 0 0": 1, "1 0 0.5": 0, "0 0 0": 0})
    share, n = agreement_matrix([RATERS[0], RATERS[1], other], before, after)
    np.testing.assert_allclose(share, [[1, 1, 2 / 3], [1, 1, 2 / 3], [2 / 3, 2 / 3, 1]])
    assert (n == 3).all()
    assert agreement_matrix([], [], [])[0].shape == (0, 0)
