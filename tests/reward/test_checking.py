"""Held-out figures stay numbers or None, whatever the held-out answers are like."""

import numpy as np
import pytest

from trueline.config import RewardConfig
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Exchange, Prompt, Rating
from trueline.reward.linear import LinearReward


@pytest.mark.filterwarnings("error")
def test_answers_of_one_length_have_no_correlation_with_it_and_the_model_saves(tmp_path):
    rng, exchanges, ratings = np.random.default_rng(0), [], []
    for i in range(180):  # 45 held out: their deviation rounds to 1e-16
        prompt = Prompt.from_user(f"question {i}", {"split": "test" if i % 4 == 0 else "train"})
        good = int(rng.integers(0, 2))
        words = ["clear" if good else "vague", *rng.choice("we send you the parcel".split(), 5)]
        exchanges.append(Exchange.of(prompt, " ".join(rng.permutation(words))))
        ratings.append(Rating(exchanges[-1].completion.id, "quality", 5 if good else 1, Annotator("Anna")))
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges}, {e.completion.id: e.completion for e in exchanges}, ratings, ()
    )
    model = LinearReward(RewardConfig(features=("words", "style"), max_features=200), ("quality",))
    assert model.fit(s).dimensions["quality"].length_correlation is None
    model.save(tmp_path / "m")
