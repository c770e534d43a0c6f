"""A bandit with 16 arms, whose KL-regularised optimum is known: pi* = ref * exp(r / beta) / Z. It tests the KL's size.

GRPO is not here: its deviation rescales the reward, and k3 as a loss has another gradient than the KL it estimates.
"""

import pytest
import torch
from torch.nn.functional import logsigmoid

from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig
from trueline.policy.scoring import Batch

ARMS, BETA, BATCH, STEPS = 16, 0.5, 64, 2000
CONFIG = AlignConfig(ppo={"epochs": 1})


class Bandit:
    """logits (arms,) and the value of the only state, both from zero; `slow` is the value's Polyak average."""

    def __init__(self):
        torch.manual_seed(0)
        self.reward, self.reference = torch.rand(ARMS), torch.log_softmax(torch.randn(ARMS), 0)
        self.optimum = torch.log_softmax(self.reference + self.reward / BETA, 0)
        self.best = BETA * torch.logsumexp(self.reference + self.reward / BETA, 0)
        self.logits, self.value = torch.zeros(ARMS, requires_grad=True), torch.zeros((), requires_grad=True)
        self.slow = torch.zeros(())
        self.optimiser = torch.optim.Adam([self.logits, self.value], lr=0.02)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimiser, 1.0, 0.02, STEPS)

    @property
    def policy(self):
        return torch.log_softmax(self.logits, 0)

    def rollout(self, arm, group, scores):
        ones, now = torch.ones(len(arm), 1, dtype=torch.bool), self.value.detach().expand(len(arm), 1)
        return Rollout(
            Batch(arm[:, None], ones, ones), group, self.policy[arm, None].detach(), self.reference[arm, None],
            scores, BETA, len(arm), len(arm), now, self.slow.expand(len(arm), 1),
        )  # fmt: skip

    def step(self, name, rollout):
        algorithm = ALGORITHMS[name]
        outputs = Outputs(self.policy[rollout.batch.tokens], self.value.expand(rollout.answers, 1))
        loss, _ = algorithm.loss(outputs, algorithm.prepare(rollout, CONFIG), CONFIG)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.slow = self.slow.lerp(self.value.detach(), 0.1)

    def distance(self):
        return (self.policy.exp() * (self.policy - self.optimum)).sum().item()


def draw(bandit, n=BATCH):
    return torch.multinomial(bandit.policy.exp().detach(), n, replacement=True)


@pytest.mark.parametrize("name", ["rloo", "reinforce", "ppo", "q_learning"])
def test_sampling_finds_the_optimum(name):
    bandit = Bandit()
    for _ in range(STEPS):
        arm = draw(bandit)
        bandit.step(name, bandit.rollout(arm, torch.zeros(BATCH), bandit.reward[arm]))
    assert bandit.distance() < 0.01
    assert (bandit.policy.exp() * (bandit.policy - bandit.reference)).sum() > 0.03


def test_soft_q_learning_knows_what_each_arm_is_worth():
    """V is beta log Z, and Q = V + beta log(pi / ref) is the reward."""
    bandit = Bandit()
    for _ in range(STEPS):
        arm = draw(bandit)
        bandit.step("q_learning", bandit.rollout(arm, torch.zeros(BATCH), bandit.reward[arm]))
    assert bandit.value.item() == pytest.approx(bandit.best.item(), abs=0.01)
    q = bandit.value + BETA * (bandit.policy - bandit.reference)
    assert (q - bandit.reward).abs().max() < 0.05


def test_soft_q_learning_learns_from_arms_that_somebody_else_drew():
    """Off-policy: uniform arms. A policy gradient would be biased; the Bellman equation holds for every arm."""
    bandit = Bandit()
    for _ in range(STEPS):
        arm = torch.randint(ARMS, (BATCH,))
        bandit.step("q_learning", bandit.rollout(arm, torch.zeros(BATCH), bandit.reward[arm]))
    assert bandit.distance() < 0.001


def test_dpo_finds_the_optimum_from_preferences():
    """People who prefer as Bradley and Terry say, by the reward, teach the same optimum (Rafailov et al. 2023)."""
    bandit = Bandit()
    for _ in range(STEPS):
        arm = torch.randint(ARMS, (4 * BATCH,))
        a, b = arm.view(-1, 2).unbind(1)
        first = torch.rand(len(a)) < logsigmoid(bandit.reward[a] - bandit.reward[b]).exp()
        label = torch.stack([first, ~first], 1).flatten().float()
        bandit.step("dpo", bandit.rollout(arm, torch.arange(len(arm)) // 2, label))
    assert bandit.distance() < 0.01
