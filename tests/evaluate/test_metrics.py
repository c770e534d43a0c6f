"""Figures of texts against what can be counted by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from trueline.evaluate.metrics import (
    distinct,
    distinct_interval,
    ngrams,
    repetition,
    self_bleu,
    self_bleu_groups,
    words,
)
from trueline.evaluate.statistics import student_mean


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


def plain_bleu(text, references):
    """Sentence BLEU-4 as its definition reads, an order without a match counting 0.1 match."""
    said, others = words(text), [words(r) for r in references]
    logs = []
    for n in range(1, 5):
        own = Counter(ngrams(text, n))
        theirs = [Counter(ngrams(r, n)) for r in references]
        hits = sum(min(count, max(t[gram] for t in theirs)) for gram, count in own.items())
        if n == 1 and hits == 0:
            return 0.0
        logs.append(math.log((hits or 0.1) / max(1, sum(own.values()))))
    nearest = min((abs(len(o) - len(said)), len(o)) for o in others)[1]
    penalty = 1.0 if len(said) >= nearest else math.exp(1 - nearest / len(said))
    return penalty * math.exp(sum(logs) / 4)


def random_texts(n, vocabulary, longest, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(vocabulary, rng.integers(0, longest))) for _ in range(n)]


@pytest.mark.parametrize("vocabulary", [["a", "b"], list("abcdefghij"), list("您好订单退款谢")])
def test_self_bleu_is_bleu_as_it_is_defined(vocabulary):
    texts = random_texts(60, vocabulary, 14)
    group = np.random.default_rng(1).permutation(60) % 7
    found = self_bleu(texts, group)
    for i, text in enumerate(texts):
        others = [t for j, t in enumerate(texts) if group[j] == group[i] and j != i]
        assert found[i] == pytest.approx(plain_bleu(text, others), abs=1e-12)


def test_self_bleu_of_the_published_example():
    """Papineni et al. 2002, candidate 1: 17/18 words, 10/17, 7/16 and 4/15 n-grams; nearest reference of 18 words."""
    candidate = "It is a guide to action which ensures that the military always obeys the commands of the party"
    references = [
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    ]
    found = self_bleu([candidate, *references], np.zeros(4, dtype=int))[0]
    assert found == pytest.approx((17 / 18 * 10 / 17 * 7 / 16 * 4 / 15) ** 0.25)


def test_answers_that_are_all_one_are_wholly_alike_and_strangers_are_not():
    assert self_bleu_groups(["we are sorry for the delay"] * 40) == pytest.approx(np.ones(4))
    assert (self_bleu_groups([f"a{i} b{i} c{i} d{i}" for i in range(40)]) == 0).all()
    assert len(self_bleu_groups(["one answer only"] * 19)) == 1
    assert self_bleu_groups([""] * 20).tolist() == [0, 0]


def test_self_bleu_means_the_same_however_many_answers_there_are():
    vocabulary = [f"w{i}" for i in range(12)]
    few, many = (student_mean(self_bleu_groups(random_texts(n, vocabulary, 20, seed=n))) for n in (100, 1000))
    assert few.low < many.value < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_interval_of_self_bleu_holds_its_mean():
    vocabulary = [f"w{i}" for i in range(12)]
    truth = np.mean(self_bleu_groups(random_texts(20_000, vocabulary, 15)))
    held = 0
    for i in range(200):
        found = student_mean(self_bleu_groups(random_texts(100, vocabulary, 15, seed=1000 + i), seed=i))
        held += found.low <= truth <= found.high
    assert 0.90 <= held / 200 <= 0.99


def test_repetition_is_the_share_of_runs_said_before():
    found = repetition(["a b c d a b c d", "a b c d e", "a b", "", "非常抱歉非常抱歉"])
    assert found == pytest.approx([1 / 5, 0, 0, 0, 1 / 5])
    assert repetition(["x " * 13]) == pytest.approx([9 / 10])
    assert repetition(["", ""]).tolist() == [0, 0]


def test_the_interval_of_distinct_holds_its_mean():
    vocabulary = [f"w{i}" for i in range(40)]
    values = [distinct(random_texts(100, vocabulary, 10, seed=i), 2) for i in range(300)]
    held = 0
    for i in range(100):
        found = distinct_interval(random_texts(100, vocabulary, 10, seed=1000 + i), 2, seed=i)
        held += found.low <= np.mean(values) <= found.high
    assert held >= 88
