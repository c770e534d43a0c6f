"""What stands on both sides of a split is found, verified exactly, and nothing else is."""

import numpy as np
import pytest

from trueline.evaluate.leakage import find_leaks, jaccard, shingles
from trueline.records import Exchange, Prompt

WORDS = "we send you the parcel order today soon here it was late and we will call back about a refund".split()


def text(rng, n=30):
    return " ".join(rng.choice(WORDS, n))


def exact(a, b):
    x, y = ({t[i : i + 5] for i in range(len(t) - 4)} for t in (a, b))
    return len(x & y) / len(x | y)


def test_the_index_is_that_of_the_sets_of_five_characters():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = text(rng), text(rng)
        assert jaccard(shingles(a), shingles(b)) == pytest.approx(exact(a, b))


def test_planted_leaks_are_found_and_named_and_nothing_else_is():
    rng = np.random.default_rng(1)
    seen = [Exchange.of(Prompt.from_user(f"seen {i}"), text(rng)) for i in range(200)]
    clean = [Exchange.of(Prompt.from_user(f"new {i}"), text(rng)) for i in range(200)]
    said = seen[5].completion.text
    near = said[:-4] + "soon"
    leaks = [
        Exchange.of(Prompt.from_user("  SEEN   3 "), "something new"),
        Exchange.of(Prompt.from_user("other"), said.upper()),
        Exchange.of(Prompt.from_user("third"), near),
    ]
    found = find_leaks(seen, [*clean, *leaks])
    assert [(x.kind, x.held_out_id) for x in found] == [
        ("same prompt", leaks[0].completion.id),
        ("same answer", leaks[1].completion.id),
        ("near-duplicate answer", leaks[2].completion.id),
    ]
    assert found[2].jaccard == pytest.approx(exact(said, near)) and found[2].seen.startswith(said[:40])


def test_chinese_and_empty_texts():
    seen = [Exchange.of(Prompt.from_user("甲"), "您好，我们已经为您办理退款，请耐心等待。谢谢您的理解与支持。")]
    near = Exchange.of(Prompt.from_user("乙"), "您好，我们已经为您办理退款，请耐心等待。谢谢您的理解与支持！")
    empty = Exchange.of(Prompt.from_user("丙"), "")
    assert [x.held_out_id for x in find_leaks(seen, [near, empty])] == [near.completion.id]
    assert find_leaks([], [near]) == [] and find_leaks(seen, []) == []
