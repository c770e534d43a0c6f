"""Every loss and its advantages against the formula of its paper, written out with loops, in float64."""

import math
from dataclasses import replace

import pytest
import torch
from test_algorithms import make_rollout

from trueline.align.advantages import group_normalised, leave_one_out
from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.algorithms.grpo import k3
from trueline.config import AlignConfig

KNOWN = torch.tensor([0.8, 0.2, 0.5, 0.9], dtype=torch.float64)


def moved(rollout, seed=1, size=0.4):
    """Log-probabilities after some training: those of the rollout, moved at random."""
    noise = torch.randn(rollout.logprobs.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rollout.logprobs + size * noise


def tokens(rollout):
    """(answer, position) of every token."""
    return [(i, t) for i in range(rollout.answers) for t in range(rollout.mask.shape[1]) if rollout.mask[i, t]]


def length(rollout, i):
    return int(rollout.mask[i].sum())


def log_ratio(rollout, logprobs, i):
    return sum((logprobs[i, t] - rollout.ref_logprobs[i, t]).item() for t in range(length(rollout, i)))


def test_the_known_advantages_of_four_answers():
    group = torch.zeros(4)
    assert leave_one_out(KNOWN, group).numpy().round(3).tolist() == [0.267, -0.533, -0.133, 0.4]
    assert group_normalised(KNOWN, group).numpy().round(3).tolist() == [0.73, -1.461, -0.365, 1.095]


def test_groups_of_grpo_stay_apart_and_a_lone_answer_has_no_advantage():
    found = group_normalised(torch.tensor([1.0, 3.0, 5.0, 5.0, 7.0]), torch.tensor([0, 0, 1, 1, 2]))
    torch.testing.assert_close(found, torch.tensor([-1.0, 1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("name", ["rloo", "reinforce"])
def test_policy_gradients(name):
    rollout = make_rollout()
    current = moved(rollout)
    found, _ = ALGORITHMS[name].loss(Outputs(current), ALGORITHMS[name].prepare(rollout, AlignConfig()), AlignConfig())
    n = rollout.answers
    reward = [rollout.scores[i].item() - rollout.kl_coef * log_ratio(rollout, rollout.logprobs, i) for i in range(n)]
    expected = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i and (name == "reinforce" or rollout.group[j] == rollout.group[i])]
        advantage = reward[i] - sum(reward[j] for j in others) / len(others)
        expected -= advantage * sum(current[i, t].item() for t in range(length(rollout, i))) / n
    assert found.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("unbiased", [False, True])
def test_grpo(unbiased):
    config = AlignConfig(algorithm="grpo", grpo={"unbiased": unbiased})
    rollout = make_rollout()
    current = moved(rollout)
    found, metrics = ALGORITHMS["grpo"].loss(Outputs(current), ALGORITHMS["grpo"].prepare(rollout, config), config)
    expected, outside = 0.0, 0
    for i in range(rollout.answers):
        group = [rollout.scores[j].item() for j in range(rollout.answers) if rollout.group[j] == rollout.group[i]]
        mean = sum(group) / len(group)
        deviation = math.sqrt(sum((r - mean) ** 2 for r in group) / len(group))
        advantage = (rollout.scores[i].item() - mean) / (1.0 if unbiased else deviation)
        total = 0.0
        for t in range(length(rollout, i)):
            ratio = math.exp((current[i, t] - rollout.logprobs[i, t]).item())
            outside += abs(ratio - 1) > 0.2
            clipped = min(max(ratio, 0.8), 1.2)
            d = (rollout.ref_logprobs[i, t] - current[i, t]).item()
            kl = min(math.exp(d) - d - 1, 10.0)
            total += min(ratio * advantage, clipped * advantage) - rollout.kl_coef * kl
        expected -= total / (1 if unbiased else length(rollout, i)) / rollout.answers
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert metrics["clip_fraction"] == pytest.approx(outside / rollout.tokens)
    assert 0 < metrics["clip_fraction"] < 1


def test_k3_is_held_where_its_exp_would_overflow():
    assert k3(torch.tensor([0.0, 0.1, -1000.0, 1000.0], dtype=torch.float64)).tolist() == pytest.approx(
        [0.0, math.exp(-0.1) + 0.1 - 1, 10.0, 10.0]
    )
    d = torch.tensor([-1000.0, 1000.0], requires_grad=True)
    k3(d).sum().backward()
    assert torch.isfinite(d.grad).all()


def test_ppo():
    config = AlignConfig(algorithm="ppo")
    rollout = make_rollout()
    prepared = ALGORITHMS["ppo"].prepare(rollout, config)
    current, values = moved(rollout), rollout.values + moved(rollout, 2) - rollout.logprobs
    found, _ = ALGORITHMS["ppo"].loss(Outputs(current, values), prepared, config)
    expected = 0.0
    for i, t in tokens(rollout):
        ratio = math.exp((current[i, t] - rollout.logprobs[i, t]).item())
        advantage, target = prepared.advantages[i, t].item(), prepared.returns[i, t].item()
        v, old = values[i, t].item(), rollout.values[i, t].item()
        near = old + min(max(v - old, -0.2), 0.2)
        expected -= min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
        expected += 0.1 * 0.5 * max((v - target) ** 2, (near - target) ** 2)
    assert found.item() == pytest.approx(expected / rollout.tokens, abs=1e-12)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_soft_q_learning(lam):
    """Targets by their recursion, y_t = r_t + (1 - lam) V_slow(t+1) + lam (y_t+1 - beta log-ratio_t+1)."""
    config = AlignConfig(algorithm="q_learning", q_learning={"lam": lam})
    rollout, beta = make_rollout(), 0.1
    current, values = moved(rollout), rollout.values + moved(rollout, 2) - rollout.logprobs
    found, _ = ALGORITHMS["q_learning"].loss(
        Outputs(current, values), ALGORITHMS["q_learning"].prepare(rollout, config), config
    )
    expected = 0.0
    for i in range(rollout.answers):
        n = length(rollout, i)
        target = rollout.scores[i].item()
        for t in reversed(range(n)):
            if t < n - 1:
                bonus = beta * (rollout.logprobs[i, t + 1] - rollout.ref_logprobs[i, t + 1]).item()
                target = (1 - lam) * rollout.target_values[i, t + 1].item() + lam * (target - bonus)
            q = values[i, t].item() + beta * (current[i, t] - rollout.ref_logprobs[i, t]).item()
            expected += (q - target) ** 2 / 2 * (1 / beta + 0.1)
    assert found.item() == pytest.approx(expected / rollout.tokens, abs=1e-12)


def test_the_first_gradient_of_soft_q_learning_is_that_of_an_actor_critic():
    """Schulman et al. 2017: -(return - V) grad log pi, when the policy is still the one that sampled."""
    config = AlignConfig(algorithm="q_learning")
    prepared = ALGORITHMS["q_learning"].prepare(make_rollout(), config)
    current, values = prepared.logprobs.clone().requires_grad_(), prepared.values.clone().requires_grad_()
    ALGORITHMS["q_learning"].loss(Outputs(current, values), prepared, config)[0].backward()
    advantage = torch.where(prepared.mask, prepared.returns - prepared.values, 0.0)
    torch.testing.assert_close(current.grad, -advantage / prepared.tokens, atol=1e-12, rtol=0)
    torch.testing.assert_close(values.grad, -0.1 * advantage / prepared.tokens, atol=1e-12, rtol=0)


def test_ilql():
    """Twin Q, expectile V, CQL and log-likelihood over a vocabulary of 5, from whole Q tables."""
    config = AlignConfig(algorithm="ilql", ilql={"tau": 0.7, "gamma": 0.9, "cql": 0.3, "awac": 0.5})
    rollout = make_rollout()
    g = torch.Generator().manual_seed(3)
    b, width = rollout.mask.shape
    q, slow = (torch.randn(2, b, width, 5, generator=g, dtype=torch.float64) for _ in range(2))
    taken = torch.randint(5, (b, width), generator=g)
    values, current = torch.randn(b, width, generator=g, dtype=torch.float64), moved(rollout)

    def chosen(x):
        return x.gather(-1, taken.expand(2, b, width).unsqueeze(-1)).squeeze(-1)

    outputs = Outputs(current, values, None, chosen(q), q.logsumexp(-1), chosen(slow).min(0).values)
    found, _ = ALGORITHMS["ilql"].loss(outputs, rollout, config)
    expected = 0.0
    for i, t in tokens(rollout):
        a, last = taken[i, t], t == length(rollout, i) - 1
        target = rollout.scores[i].item() if last else 0.9 * values[i, t + 1].item()
        expected += sum((q[k, i, t, a].item() - target) ** 2 for k in range(2))
        error = min(slow[k, i, t, a].item() for k in range(2)) - values[i, t].item()
        expected += (0.7 if error >= 0 else 0.3) * error**2
        expected -= 0.3 * sum(torch.log_softmax(q[k, i, t], -1)[a].item() for k in range(2))
        expected -= 0.5 * current[i, t].item()
    assert found.item() == pytest.approx(expected / rollout.tokens, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_dpo_and_its_gradient(smoothing):
    """The rows of a pair add up to the gradient of the paper's loss, which is half the value of their sum."""
    config = AlignConfig(algorithm="dpo", dpo={"label_smoothing": smoothing})
    rollout = replace(make_rollout(group_size=2), scores=torch.tensor([1.0, 0.0] * 4, dtype=torch.float64))
    prepared = ALGORITHMS["dpo"].prepare(rollout, config)
    current = rollout.logprobs.clone().requires_grad_()
    found, metrics = ALGORITHMS["dpo"].loss(Outputs(current), prepared, config)
    found.backward()

    paper = rollout.logprobs.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for better in range(0, 8, 2):
        ratios = [
            sum(paper[i, t] - rollout.ref_logprobs[i, t] for t in range(length(rollout, i)))
            for i in (better, better + 1)
        ]
        margin = 0.1 * (ratios[0] - ratios[1])
        total = total - (1 - smoothing) * torch.log(torch.sigmoid(margin)) / 4
        total = total - smoothing * torch.log(torch.sigmoid(-margin)) / 4
    total.backward()
    torch.testing.assert_close(current.grad, paper.grad, atol=1e-12, rtol=0)
    assert found.item() / 2 == pytest.approx(total.item(), abs=1e-12)
    assert metrics["policy_loss"] == pytest.approx(total.item(), abs=1e-12)
