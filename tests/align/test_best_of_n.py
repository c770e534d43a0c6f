"""Best of n: it picks what the judge likes best, and its KL stays under the bound."""

import numpy as np
import pytest

from trueline.align.answers import answer
from trueline.align.best_of_n import best_of_n, kl_bound
from trueline.align.judgement import Judgement
from trueline.config import PolicyConfig
from trueline.records import Prompt

PROMPTS = [Prompt.from_user(t) for t in ("order 12 kettle", "hello", "lamp broken")]
CONFIG = PolicyConfig(max_new_tokens=8)


def judge(exchanges):
    rewards = np.array([-len(e.completion.text) for e in exchanges], dtype=float)
    return Judgement(rewards, {})


def test_the_best_of_the_same_samples_is_kept(tiny):
    found = best_of_n(tiny, PROMPTS, judge, CONFIG, 5, "best-of-5", ("b", 0))
    every = answer(tiny, PROMPTS, CONFIG, 5, "best-of-5", ("b", 0))
    for i, prompt in enumerate(PROMPTS):
        assert found.exchanges[i].prompt == prompt
        own = [every.exchanges[j] for j, g in enumerate(every.groups) if g == i]
        assert len(found.exchanges[i].completion.text) == min(len(e.completion.text) for e in own)
        assert found.exchanges[i].completion.source == "best-of-5"
        assert len(found.answer_tokens[i]) == len(found.logprobs[i])
    assert found.groups == [0, 1, 2]


def test_more_samples_are_never_worse(tiny):
    means = [
        judge(best_of_n(tiny, PROMPTS, judge, CONFIG, n, "", ("b", 0)).exchanges).rewards.mean() for n in (1, 4, 16)
    ]
    assert means == sorted(means) and means[0] < means[-1]


def test_the_bound():
    assert kl_bound(1) == 0
    assert kl_bound(1000) == pytest.approx(5.909, abs=5e-4)


def test_the_bound_is_exact_only_without_ties():
    """Best of 1,000 on 50 equally likely answers: the true KL is smaller."""
    n, arms = 1000, 50
    upto = (np.arange(arms + 1) / arms) ** n
    best = np.diff(upto)
    best = best[best > 0]
    true = float((best * np.log(best * arms)).sum())
    assert true < kl_bound(n)
    assert true <= np.log(arms) + 1e-9
