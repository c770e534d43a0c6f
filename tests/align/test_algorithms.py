"""What every algorithm must do, and the closed forms that RLOO and PPO must meet."""

from dataclasses import replace

import pytest
import torch

from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig
from trueline.policy.scoring import Batch

NAMES = sorted(ALGORITHMS)


def make_rollout(b=8, t=6, seed=0, rubbish=0.0):
    """Random answers of different lengths, float64; `rubbish` stands in every place outside the mask."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, t + 1, (b,), generator=g)
    mask = torch.arange(t)[None] < lengths[:, None]

    def values():
        x = torch.randn(b, t, generator=g, dtype=torch.float64)
        return torch.where(mask, x, torch.full_like(x, rubbish))

    logprobs, reference = -values().abs(), -values().abs()
    return Rollout(
        batch=Batch(torch.zeros(b, t + 1, dtype=torch.long), torch.ones(b, t + 1, dtype=torch.bool), mask),
        group=torch.arange(b) // 4,
        logprobs=torch.where(mask, logprobs, torch.full_like(logprobs, rubbish)),
        ref_logprobs=torch.where(mask, reference, torch.full_like(reference, rubbish)),
        scores=torch.randn(b, generator=g, dtype=torch.float64),
        kl_coef=0.1,
        tokens=int(mask.sum()),
        answers=b,
        values=values(),
    )


def loss_and_gradient(name, rollout, config, shift=0.0):
    """The loss and its gradient for the current log-probabilities (those of the rollout plus `shift`)."""
    current = (rollout.logprobs + shift).clone().requires_grad_()
    values = rollout.values.clone().requires_grad_()
    loss, _ = ALGORITHMS[name].loss(Outputs(current, values), rollout, config)
    loss.backward()
    return loss.detach(), current.grad


@pytest.mark.parametrize("name", NAMES)
def test_rubbish_in_the_padding_changes_nothing(name):
    config = AlignConfig()
    found = []
    for rubbish in (0.0, 1e3):
        rollout = ALGORITHMS[name].prepare(make_rollout(rubbish=rubbish), config)
        loss, gradient = loss_and_gradient(name, rollout, config)
        assert gradient[~rollout.mask].abs().sum() == 0
        found.append((loss, gradient[rollout.mask]))
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_micro_batches_add_up(name):
    config = AlignConfig()
    rollout = ALGORITHMS[name].prepare(make_rollout(), config)
    whole, gradient = loss_and_gradient(name, rollout, config, shift=0.05)
    parts = [loss_and_gradient(name, rollout.rows(i), config, shift=0.05) for i in torch.arange(8).split(3)]
    torch.testing.assert_close(sum(p[0] for p in parts), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), gradient, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_loss_makes_the_better_answer_likelier(name):
    """Fails when the sign of the loss, or of the advantage, is flipped."""
    config = AlignConfig()
    rollout = replace(make_rollout(b=4), scores=torch.tensor([3.0, -1.0, -1.0, -1.0], dtype=torch.float64), kl_coef=0.0)
    rollout = replace(rollout, values=torch.zeros_like(rollout.values))
    _, gradient = loss_and_gradient(name, ALGORITHMS[name].prepare(rollout, config), config)
    step = torch.where(rollout.mask, -gradient, 0.0).sum(-1)
    assert step[0] > 0 > step[1:].max()


def test_the_first_gradient_of_ppo_is_that_of_reinforce():
    config = AlignConfig(algorithm="ppo")
    rollout = ALGORITHMS["ppo"].prepare(make_rollout(), config)
    _, gradient = loss_and_gradient("ppo", rollout, config)
    expected = torch.where(rollout.mask, -rollout.advantages / rollout.tokens, 0.0)
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=0)


def test_ppo_stops_pushing_outside_the_clip():
    config = AlignConfig(algorithm="ppo")
    rollout = ALGORITHMS["ppo"].prepare(make_rollout(), config)
    _, gradient = loss_and_gradient("ppo", rollout, config, shift=0.5)
    good = rollout.mask & (rollout.advantages > 0)
    bad = rollout.mask & (rollout.advantages < 0)
    assert gradient[good].abs().max() == 0
    assert gradient[bad].abs().min() > 0


def test_a_zero_spread_group_teaches_nothing():
    rollout = replace(make_rollout(), scores=torch.ones(8, dtype=torch.float64), kl_coef=0.0)
    prepared = ALGORITHMS["rloo"].prepare(rollout, AlignConfig())
    assert prepared.advantages.abs().max() < 1e-12


def test_rloo_finds_the_kl_regularised_optimum_of_a_bandit():
    """On a bandit the optimum is known: pi* = ref * exp(r / beta) / Z. It tests the KL term, sign and size."""
    torch.manual_seed(0)
    arms, beta, batch = 16, 0.5, 64
    reward, reference = torch.rand(arms), torch.log_softmax(torch.randn(arms), 0)
    optimum = torch.log_softmax(reference + reward / beta, 0)
    logits = torch.zeros(arms, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, 2000)
    ones = torch.ones(batch, 1, dtype=torch.bool)
    for _ in range(2000):
        logprobs = torch.log_softmax(logits, 0)
        arm = torch.multinomial(logprobs.exp().detach(), batch, replacement=True)
        rollout = Rollout(
            Batch(arm[:, None], ones, ones), torch.zeros(batch), logprobs[arm, None].detach(), reference[arm, None],
            reward[arm], beta, batch, batch,
        )  # fmt: skip
        prepared = ALGORITHMS["rloo"].prepare(rollout, AlignConfig())
        loss, _ = ALGORITHMS["rloo"].loss(Outputs(logprobs[arm, None]), prepared, AlignConfig())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    policy = torch.log_softmax(logits, 0)
    assert (policy.exp() * (policy - optimum)).sum() < 0.01
    assert (policy.exp() * (policy - torch.log_softmax(reference, 0))).sum() > 0.03
