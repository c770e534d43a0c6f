"""Best of n: sample n answers, keep the one of highest reward. The baseline that training must be worth more than."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trueline.align.answers import Answers, answer
from trueline.align.judgement import Judge, judged
from trueline.config import PolicyConfig
from trueline.policy.load import Policy
from trueline.policy.sampler import Key
from trueline.records import Prompt


def best_of_n(
    policy: Policy, prompts: Sequence[Prompt], judge: Judge, config: PolicyConfig, n: int, source: str, key: Key
) -> Answers:
    """For each prompt the best of n sampled answers by the judge's reward, the first of equal ones."""
    answers = answer(policy, prompts, config, n, source, key)
    rewards = judged(judge, answers.exchanges).rewards
    best = [i * n + int(rewards[i * n : (i + 1) * n].argmax()) for i in range(len(prompts))]
    return answers.picked(best, range(len(prompts)))


def kl_bound(n: int) -> float:
    """At most this many nats lie between best-of-n and the policy it samples from: log n - (n - 1) / n.

    Exact only where no two answers tie (Beirami et al. 2024, "Theoretical guarantees on best-of-n").
    """
    return math.log(n) - (n - 1) / n
