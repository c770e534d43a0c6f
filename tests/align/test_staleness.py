"""Answers of an older policy, weighed: the expected gradient is that of the policy's own answers."""

from dataclasses import replace

import pytest
import torch

from trueline.align.rollout import Rollout
from trueline.align.staleness import corrected
from trueline.policy.scoring import Batch


def rollout(tokens, old, new, advantages):
    """One-token answers: token numbers (B,), logits of the policies, an advantage a token."""
    n = len(tokens)
    batch = Batch(tokens.unsqueeze(1), torch.ones(n, 1, dtype=torch.bool), torch.ones(n, 1, dtype=torch.bool))
    own, sampled = (torch.log_softmax(x, 0)[tokens].unsqueeze(1) for x in (new, old))
    made = Rollout(
        batch, torch.arange(n), own, own, torch.zeros(n), 0.0, n, n, advantages=advantages[tokens].unsqueeze(1)
    )
    return replace(made, sampled_logprobs=sampled)


def test_weighed_advantages_have_the_expectation_under_the_newer_policy():
    torch.manual_seed(0)
    old, new, advantage = torch.randn(5), torch.randn(5), torch.randn(5)
    tokens = torch.multinomial(old.softmax(0), 200_000, replacement=True)
    found, metrics = corrected(rollout(tokens, old, new, advantage), most=1e9)
    expected = (new.softmax(0) * advantage).sum().item()
    assert found.advantages.mean().item() == pytest.approx(expected, abs=0.01)
    kl = torch.nn.functional.kl_div(new.log_softmax(0), old.log_softmax(0), reduction="sum", log_target=True).item()
    assert metrics["stale_kl"] == pytest.approx(kl, abs=0.01)
    assert metrics["stale_cut"] == 0


def test_no_weight_is_over_the_limit_and_how_many_were_is_said():
    old, new = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    found, metrics = corrected(rollout(torch.tensor([0, 1, 1, 1]), old, new, torch.ones(2)), most=1.5)
    ratio = (new.softmax(0) / old.softmax(0))[0].item()
    assert found.advantages.flatten().tolist() == pytest.approx([ratio, 1.5, 1.5, 1.5])
    assert metrics["stale_cut"] == 0.75


def test_fresh_answers_stay_as_they_are():
    made = replace(rollout(torch.tensor([0, 1]), torch.zeros(2), torch.zeros(2), torch.ones(2)), sampled_logprobs=None)
    assert corrected(made, 2.0) == (made, {})
