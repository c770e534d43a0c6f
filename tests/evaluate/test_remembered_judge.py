"""A judge that remembers says what the judge itself says, and the judge is asked once about each answer and pair."""

from collections import Counter

import numpy as np
import pytest

from trueline.errors import InputError, RunError
from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.judges.remembered import Remembered
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Prompt, Scores

DIMENSIONS = ("quality", "safety")


class Rates:
    """By the number of words and of letters; safe without an x. asked: every answer that it was asked about."""

    name = "rates"

    def __init__(self):
        self.asked = []

    def rate(self, exchanges):
        texts = [e.completion.text for e in exchanges]
        self.asked += texts
        values = np.array([[len(t.split()) / 3, len(t) / 7] for t in texts]).reshape(-1, 2)
        return Verdicts(Scores(DIMENSIONS, values, values**2), np.array(["x" not in t for t in texts], dtype=bool))

    def compare(self, before, after):
        return by_scores(self.rate, before, after)


class Compares:
    """The longer answer is better; has no verdict on texts in `lost`. asked: every pair."""

    name = "compares"

    def __init__(self, lost=()):
        self.asked, self.lost, self.failures = [], set(lost), Counter()

    def rate(self, exchanges):
        return None

    def compare(self, before, after):
        pairs = [(a.completion.text, b.completion.text) for a, b in zip(before, after, strict=True)]
        self.asked += pairs
        found = np.array([np.nan if b in self.lost else (np.sign(len(b) - len(a)) + 1) / 2 for a, b in pairs])
        self.failures.clear()
        self.failures.update({"lost": int(np.isnan(found).sum())})
        if np.isnan(found).all():
            raise RunError("none of them got a verdict")
        return found


def answers(*texts, finish="stop"):
    return [Exchange.of(Prompt.from_user(f"question {i}"), text, finish=finish) for i, text in enumerate(texts)]


def same(a, b):
    np.testing.assert_array_equal(a.scores.values, b.scores.values)
    np.testing.assert_array_equal(a.scores.std, b.scores.std)
    np.testing.assert_array_equal(a.safe, b.safe)
    assert a.scores.dimensions == b.scores.dimensions and a.consistent is b.consistent is a.refused is b.refused is None


@pytest.mark.parametrize("kept", [True, False])
def test_ratings_are_those_of_the_judge_and_each_answer_is_rated_once(tmp_path, kept):
    judge, folder = Rates(), tmp_path if kept else None
    before, after = answers("a b", "c", "x y z"), answers("a b", "c d", "x")
    first = Remembered.of(judge, ["v1"], folder)
    same(first.rate(before), Rates().rate(before))
    if kept:
        first = Remembered.of(judge, ["v1"], folder)  # another process
    same(first.rate([*after, *before]), Rates().rate([*after, *before]))
    np.testing.assert_array_equal(first.compare(before, after), Rates().compare(before, after))
    assert sorted(judge.asked) == ["a b", "c", "c d", "x", "x y z"]
    assert first.rate([]).scores.values.shape == (0, 2)
    first.rate(answers("c", finish="length"))  # another prompt, and cut short
    assert judge.asked.count("c") == 2


def test_pairs_are_compared_once_and_those_without_a_verdict_again(tmp_path):
    judge = Compares(lost=["ccc"])
    before, after = answers("aa", "b", "c"), answers("a", "bb", "ccc")
    first = Remembered.of(judge, ["v1"], tmp_path)
    np.testing.assert_array_equal(first.compare(before, after), [0.0, 1.0, np.nan])
    assert first.failures == {"lost": 1}
    judge.asked.clear()
    again = Remembered.of(judge, ["v1"], tmp_path)
    np.testing.assert_array_equal(again.compare(before, after), [0.0, 1.0, np.nan])  # it fails, the others stand
    assert judge.asked == [("c", "ccc")] and again.failures == {"lost": 1}
    judge.lost.clear()
    np.testing.assert_array_equal(again.compare(before, after), [0.0, 1.0, 1.0])
    np.testing.assert_array_equal(again.compare(after, before), [1.0, 0.0, 0.0])  # the other way round is another pair
    np.testing.assert_array_equal(again.compare(before, after), [0.0, 1.0, 1.0])
    assert len(judge.asked) == 5 and not again.failures.total()
    with pytest.raises(RunError, match="none of them"):
        Remembered.of(Compares(lost=["ccc"]), ["v2"], tmp_path).compare(before[2:], after[2:])


def test_what_another_judge_said_does_not_count(tmp_path):
    said = Remembered.of(Rates(), ["v1", "a"], tmp_path)
    said.rate(answers("a"))
    for identity in (["v2", "a"], ["v1"], ["v1a"], ["v1", "a", ""]):
        judge = Rates()
        Remembered.of(judge, identity, tmp_path).rate(answers("a"))
        assert judge.asked == ["a"]


def test_a_torn_file_says_what_to_do(tmp_path):
    Remembered.of(Rates(), ["v1"], tmp_path).rate(answers("a"))
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:20])
    with pytest.raises(InputError, match="delete it"):
        Remembered.of(Rates(), ["v1"], tmp_path)
