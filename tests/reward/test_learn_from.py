"""Which labels a dimension learns from where a project has ratings of one and comparisons of another."""

import pytest

from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating
from trueline.reward.linear import LinearReward

ANNA = Annotator("Anna")


def mixed(n=60) -> FeedbackSnapshot:
    """ "good" is rated 5 and "poor" 1 in quality; "kind" is preferred to "rude" in safety."""
    exchanges, ratings, comparisons = [], [], []
    for i in range(n):
        prompt = Prompt.from_user(f"question {i}")
        good, poor, kind, rude = (Exchange.of(prompt, f"a {w} answer", "t") for w in ("good", "poor", "kind", "rude"))
        exchanges += [good, poor, kind, rude]
        ratings += [Rating(e.completion.id, "quality", v, ANNA) for e, v in ((good, 5), (poor, 1))]
        comparisons.append(Comparison(kind.completion.id, rude.completion.id, "safety", -2, ANNA))
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )


def test_either_learns_each_dimension_from_the_labels_it_has():
    model = LinearReward(RewardConfig(learn_from="either", relations=0), ("quality", "safety"))
    report = model.fit(mixed())
    assert report.dimensions["quality"].n_train > 0 and report.dimensions["safety"].n_train > 0
    prompt = Prompt.from_user("another")
    words = ("good", "poor", "kind", "rude")
    score = dict(zip(words, model.score([Exchange.of(prompt, f"a {w} answer") for w in words]).values, strict=True))
    assert score["good"][0] > score["poor"][0] and score["kind"][1] > score["rude"][1]


@pytest.mark.parametrize(("learn_from", "lacking"), [("ratings", "safety"), ("comparisons", "quality")])
def test_one_kind_alone_says_which_dimension_lacks_it(learn_from, lacking):
    with pytest.raises(InputError, match=f"no {learn_from} to learn {lacking} from"):
        LinearReward(RewardConfig(learn_from=learn_from), ("quality", "safety")).fit(mixed())


def test_either_without_any_labels_says_so():
    with pytest.raises(InputError, match="no labels to learn politeness from"):
        LinearReward(RewardConfig(learn_from="either"), ("quality", "politeness")).fit(mixed())
