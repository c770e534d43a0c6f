"""From scores to the one number."""

import numpy as np
import pytest

from trueline.errors import RunError
from trueline.records import Scores
from trueline.reward.objective import Objective, shorten

DIMENSIONS = ("quality", "safety")
WEIGHTS = {"quality": 1.0, "safety": 2.0}


def total(values, finished=None, weights=WEIGHTS, penalty=0.5, clip=10.0, texts=None):
    values = np.array(values, dtype=float)
    finished = np.ones(len(values), bool) if finished is None else np.array(finished)
    texts = texts or ["text"] * len(values)
    return Objective(weights, penalty, clip).total(Scores(DIMENSIONS, values), finished, texts)


def test_the_weighted_sum():
    np.testing.assert_allclose(total([[1, 2], [-1, 0.5]]), [5.0, 0.0])
    np.testing.assert_allclose(total([[1, 2]], weights={"safety": 2.0, "quality": 1.0}), [5.0])
    np.testing.assert_allclose(total([[1, 2]], weights={"safety": -1.0}), [-2.0])
    np.testing.assert_allclose(total([[1, 2]], weights={"politeness": 9.0}), [0.0])


def test_unfinished_answers_lose_the_penalty():
    np.testing.assert_allclose(total([[1, 2], [1, 2]], finished=[True, False]), [5.0, 4.5])
    np.testing.assert_allclose(total([[1, 2], [1, 2]], finished=[1, 0]), [5.0, 4.5])


def test_the_clip_holds_the_whole_sum():
    found = total([[100, 0], [-100, 0], [3, 0], [3.2, 0]], finished=[True, True, True, False], clip=3.0)
    np.testing.assert_allclose(found, [3.0, -3.0, 3.0, 2.7])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_no_number_names_the_dimension_and_the_text(bad):
    with pytest.raises(RunError) as caught:
        total([[1, 2], [1, bad]], texts=["fine", "the bad one" + "x" * 200])
    message = str(caught.value)
    assert "safety" in message and "the bad one" in message and "fine" not in message
    assert "\n" not in message and len(message) < 300


def test_none_is_none():
    assert total(np.zeros((0, 2))).shape == (0,)


def test_shorten_keeps_short_texts():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
