"""Figures of texts against what can be counted by hand."""

import pytest

from trueline.evaluate.metrics import distinct, distinct_interval, ngrams, words


def test_words_and_pairs():
    assert words("Order 4821, please!") == ["order", "4821", "please"]
    assert words("您好 world") == ["您", "好", "world"]
    assert ngrams("a b c", 2) == [("a", "b"), ("b", "c")]


def test_distinct_counts_over_all_texts():
    assert distinct(["a b c", "a b d"], 2) == 3 / 4
    assert distinct(["a"], 2) == 0.0
    assert distinct(["x y"] * 5, 2) == 1 / 5


def test_the_interval_of_distinct_holds_its_value():
    found = distinct_interval([f"word{i} word{i % 7} end" for i in range(50)], 2)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(distinct([f"word{i} word{i % 7} end" for i in range(50)], 2))
