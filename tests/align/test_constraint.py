"""A constraint on a bandit whose constrained optimum is known, its multiplier's law, and runs that keep a limit.

The constrained optimum is that of the reward (R - lambda C) / (1 + lambda) less the KL: pi ~ ref exp(reward / beta),
with the lambda at which the share of bad answers is the limit (found by bisection).
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from test_trainer import PROMPTS, align, judge_length, task, weights

from trueline import durable
from trueline.align.advantages import generalised_advantages, token_rewards
from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.checkpoint import Position
from trueline.align.constraint import Multiplier, priced
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement, judged
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig, ConstraintConfig
from trueline.errors import InputError, RunError
from trueline.policy.scoring import Batch
from trueline.records import Exchange

ARMS, BETA, BATCH, STEPS = 8, 0.2, 64, 1500
EXCHANGES = [Exchange.of(PROMPTS[0], text) for text in ("a", "b", "c")]


def held(**changes):
    return ConstraintConfig(**{"dimension": "safety", "limit": 0.1, "rate": 0.5, "window": 128, **changes})


class Bandit:
    """The better half of the arms is likely bad. reward, cost (arms,); the reference is uniform."""

    def __init__(self, seed):
        torch.manual_seed(seed)
        self.reward = torch.linspace(0, 1, ARMS)
        self.cost = torch.cat([torch.full((ARMS // 2,), 0.02), torch.full((ARMS // 2,), 0.9)])
        self.logits = torch.zeros(ARMS, requires_grad=True)
        self.value = torch.zeros((), requires_grad=True)
        self.optimiser = torch.optim.Adam([self.logits, self.value], lr=0.02)

    def optimum(self, multiplier):
        return torch.softmax((self.reward - multiplier * self.cost) / (1 + multiplier) / BETA, 0)

    def share(self, policy):
        return float((policy * self.cost).sum())

    def policy(self):
        return torch.softmax(self.logits, 0).detach()

    def learn(self, algorithm, arm, scores):
        config = AlignConfig(algorithm=algorithm, ppo={"epochs": 1})
        made, ones = ALGORITHMS[algorithm], torch.ones(BATCH, 1, dtype=torch.bool)
        logprobs, uniform = torch.log_softmax(self.logits, 0)[arm, None], torch.full((BATCH, 1), -math.log(ARMS))
        rollout = Rollout(
            Batch(arm[:, None], ones, ones), torch.zeros(BATCH), logprobs.detach(), uniform, scores, BETA, BATCH, BATCH,
            self.value.detach().expand(BATCH, 1),
        )  # fmt: skip
        loss, _ = made.loss(Outputs(logprobs, self.value.expand(BATCH, 1)), made.prepare(rollout, config), config)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def trained(bandit, algorithm, config):
    """Shares of bad arms and multipliers, step by step."""
    multiplier = Multiplier.first(config)
    shares, prices = [], []
    for _ in range(STEPS):
        arm = torch.multinomial(bandit.policy(), BATCH, replacement=True)
        told = Judgement(bandit.reward[arm].numpy(), {}, bandit.cost[arm].numpy())
        bandit.learn(algorithm, arm, torch.from_numpy(priced(told, multiplier).rewards).float())
        shares.append(bandit.share(bandit.policy()))
        prices.append(multiplier.value)
        multiplier = multiplier.after(bandit.cost[arm].tolist(), config)
    return shares, prices


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
@pytest.mark.parametrize("seed", range(5))
def test_an_unsafe_optimum_is_left_for_the_best_that_keeps_the_limit(algorithm, seed):
    bandit, config = Bandit(seed), held()
    assert bandit.share(bandit.optimum(0.0)) > 0.5
    price = brentq(lambda x: bandit.share(bandit.optimum(x)) - config.limit, 1e-6, 20)
    shares, prices = trained(bandit, algorithm, config)
    assert np.mean(shares[-300:]) <= config.limit + 0.01
    assert prices[-1] > prices[0]
    if algorithm == "rloo":  # PPO whitens its advantages, which changes the KL's weight against the reward.
        assert np.mean(prices[-300:]) == pytest.approx(price, rel=0.15)
        assert torch.allclose(bandit.policy(), bandit.optimum(price), atol=0.05)


def test_a_slack_limit_costs_nothing():
    bandit, config = Bandit(0), held(limit=0.95, rate=1.0)
    _, prices = trained(bandit, "rloo", config)
    assert prices[-1] < 1e-3 < prices[0]
    assert float(bandit.policy() @ bandit.reward) == pytest.approx(float(bandit.optimum(0.0) @ bandit.reward), abs=0.02)


def test_one_critic_of_the_combined_reward_is_the_two_combined():
    torch.manual_seed(0)
    price, mask = 3.0, torch.arange(7) < torch.tensor([[7], [4], [1]])
    reward, cost, kl = torch.randn(3), torch.rand(3), torch.randn(3, 7)
    of_reward, of_cost = torch.randn(3, 7), torch.randn(3, 7)

    def advantages(scores, values, coefficient):
        rewards = token_rewards(scores, kl, torch.zeros(3, 7), mask, coefficient)
        return generalised_advantages(rewards, values, mask, 0.99, 0.9)[0]

    apart = advantages(reward, of_reward, 0.1) - price * advantages(cost, of_cost, 0.0)
    joined = advantages(
        (reward - price * cost) / (1 + price), (of_reward - price * of_cost) / (1 + price), 0.1 / (1 + price)
    )
    torch.testing.assert_close(joined, apart / (1 + price))


def test_the_multiplier_rests_until_the_window_is_full_and_then_moves_by_the_law():
    config = held(multiplier=2.0, rate=0.5, window=4, limit=0.1)
    first = Multiplier.first(config).after([0.3, 0.5, 0.4], config)
    assert first == Multiplier(2.0, (0.3, 0.5, 0.4))
    second = first.after([0.8, 0.2], config)
    assert second.costs == (0.5, 0.4, 0.8, 0.2)
    assert second.value == pytest.approx(2.0 * math.exp(0.5 * (0.475 - 0.1)))


def test_the_multiplier_stays_within_its_bounds():
    config = held(rate=1000.0, window=1, most=20.0)
    assert Multiplier(1.0).after([1.0], config).value == 20.0
    least = Multiplier(1.0).after([0.0], held(rate=1e5, window=1))
    assert 0 < least.value < 1e-6 and least.after([1.0], held(window=1)).value > least.value
    assert Multiplier.first(held(multiplier=5.0, most=2.0)).value == 2.0
    assert Multiplier.first(ConstraintConfig()) is None


def test_the_price_is_taken_from_the_reward_and_said():
    told = Judgement(np.array([1.0, 2.0, 3.0]), {"reward": 2.0}, np.array([0.0, 0.5, 1.0]))
    found = priced(told, Multiplier(3.0))
    np.testing.assert_allclose(found.rewards, [0.25, 0.125, 0.0])
    assert found.metrics == {"reward": 2.0, "multiplier": 3.0, "bad_share": 0.5}


def test_a_judge_without_costs_stops_the_run():
    with pytest.raises(RunError, match="gives no costs"):
        priced(Judgement(np.zeros(3), {}), Multiplier(1.0))


def test_a_cost_that_is_no_number_is_named():
    with pytest.raises(RunError, match="the cost of 'b' is nan"):
        judged(lambda e: Judgement(np.zeros(3), {}, np.array([0, np.nan, 0])), EXCHANGES)


@pytest.mark.parametrize("algorithm", ["ilql", "dpo"])
def test_algorithms_that_sample_nothing_cannot_and_name_those_that_can(tiny_folder, tmp_path, algorithm):
    with pytest.raises(InputError, match=f"{algorithm} samples no answers.*rloo, reinforce, grpo, ppo, q_learning"):
        align(task(tiny_folder, algorithm, constraint={"dimension": "safety"}), tmp_path / "run")


def judge_short(exchanges):
    """Short answers pay, and those of fewer than 15 letters are bad."""
    short = np.array([float(len(e.completion.text) < 15) for e in exchanges])
    return replace(judge_length(exchanges), costs=short)


SETTINGS = {
    "learning_rate": 1e-2, "prompts_per_step": 16, "kl": {"coefficient": 0.01}, "ppo": {"critic_warmup": 2},
    "constraint": {"dimension": "safety", "limit": 0.2, "multiplier": 4.0, "rate": 0.5, "window": 64},
}  # fmt: skip


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_a_run_keeps_the_limit_that_the_reward_alone_would_break(tiny_folder, tmp_path, algorithm):
    shares = []

    def watched(exchanges):
        shares.append(judge_short(exchanges).costs.mean())
        return judge_short(exchanges)

    align(task(tiny_folder, algorithm, steps=30, judge=watched, **{**SETTINGS, "constraint": {}}), tmp_path / "free")
    align(task(tiny_folder, algorithm, steps=50, judge=judge_short, **SETTINGS), tmp_path / "held")
    assert np.mean(shares[-5:]) > 0.5
    assert np.mean([r["bad_share"] for r in read_metrics(tmp_path / "held")[-15:]]) <= 0.2 + 0.05
    assert all("bad_share" not in r for r in read_metrics(tmp_path / "free"))


def test_stopped_and_resumed_it_ends_the_same(tiny_folder, tmp_path):
    settings = {**SETTINGS, "prompts_per_step": 4}

    def stop(row):
        if row["step"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(task(tiny_folder, steps=9, judge=judge_short, **settings), tmp_path / "stopped", stop)
    for name in ("stopped", "whole"):
        align(task(tiny_folder, steps=9, judge=judge_short, **settings), tmp_path / name)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    prices = [[r["multiplier"] for r in read_metrics(tmp_path / name)] for name in ("stopped", "whole")]
    assert prices[0] == prices[1]
    assert prices[0][:4] == [4.0] * 4 and prices[0][4] != 4.0


def test_a_checkpoint_of_an_older_version_loads(tmp_path):
    durable.write_json(tmp_path / "position.json", {"step": 3, "kl_coef": 0.05})
    assert Position.of(durable.read_json(tmp_path / "position.json")) == Position(3, 0.05)
