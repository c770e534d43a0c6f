"""Two reward models on the same pairs: what either may have learned from is named."""

from pathlib import Path

import numpy as np

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.reward_checks import Learned, compare
from trueline.records import Annotator, Comparison, Exchange, Prompt, Scores

WORDS = "we send you the parcel order today soon here it was late call back about refund kettle lamp".split()


class AnyModel:
    dimensions = ("quality",)
    temperature = np.ones(1)

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([[float(len(e.completion.text))] for e in exchanges]))


def labelled(splits):
    """A pair of answers to a prompt in each split; what a number says is the same in every call."""
    exchanges, told = [], []
    for number, split in splits.items():
        rng = np.random.default_rng(number)
        prompt = Prompt.from_user(f"question {number}", {"split": split})
        a, b = (Exchange.of(prompt, " ".join(rng.choice(WORDS, 20))) for _ in range(2))
        exchanges += [a, b]
        told.append(Comparison(a.completion.id, b.completion.id, "quality", 1, Annotator("Ann")))
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges}, {e.completion.id: e.completion for e in exchanges}, (), tuple(told)
    )


def test_both_models_are_looked_through_for_the_held_out_answers():
    first = Learned(Path("first"), AnyModel(), labelled({1: "train", 2: "train", 3: "test", 4: "test"}))
    second = Learned(Path("second"), AnyModel(), labelled({5: "train", 3: "validation", 4: "test"}))
    found = compare(first, second)
    assert found.duels["quality"].n_pairs == 2
    assert found.leaks["first"] == []
    assert {leak.kind for leak in found.leaks["second"]} == {"same prompt"}
    held = first.snapshot.split("test")
    asked_again = {i for i, c in held.completions.items() if held.prompts[c.prompt_id].text == "user: question 3"}
    assert {leak.held_out_id for leak in found.leaks["second"]} == asked_again
