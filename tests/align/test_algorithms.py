"""What every algorithm must do; test_losses.py has their formulas, test_bandit.py and test_mdp.py what they reach."""

from dataclasses import replace

import pytest
import torch

from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig
from trueline.policy.scoring import Batch

NAMES = sorted(ALGORITHMS)
PAIRED = {"dpo"}


def make_rollout(b=8, t=6, seed=0, rubbish=0.0, group_size=4):
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
        group=torch.arange(b) // group_size,
        logprobs=torch.where(mask, logprobs, torch.full_like(logprobs, rubbish)),
        ref_logprobs=torch.where(mask, reference, torch.full_like(reference, rubbish)),
        scores=torch.randn(b, generator=g, dtype=torch.float64),
        kl_coef=0.1,
        tokens=int(mask.sum()),
        answers=b,
        values=values(),
        target_values=values(),
    )


def for_algorithm(name, **settings):
    """A rollout that an algorithm can learn from: DPO has pairs."""
    return make_rollout(**{"group_size": 2 if name in PAIRED else 4, **settings})


def outputs_of(rollout, shift=0.0):
    """What a model might say now: the log-probabilities and values of the rollout plus `shift`, and Q of all kinds."""
    q = torch.stack([rollout.values + 0.3, rollout.values - 0.2]) + shift
    current = [x.clone().requires_grad_() for x in (rollout.logprobs + shift, rollout.values + shift, q, q + 0.7)]
    return Outputs(current[0], current[1], None, current[2], current[3], rollout.target_values)


def loss_and_gradient(name, rollout, config, shift=0.0):
    """The loss and its gradients for the current log-probabilities (B, T), and for all that the model says (B, 6 T)."""
    outputs = outputs_of(rollout, shift)
    loss, _ = ALGORITHMS[name].loss(outputs, rollout, config)
    loss.backward()
    given = [outputs.logprobs, outputs.values, *outputs.q, *outputs.q_logsumexp]
    rows = [outputs.logprobs.grad, outputs.values.grad]
    rows += [x for q in (outputs.q.grad, outputs.q_logsumexp.grad) for x in (q if q is not None else (None, None))]
    gradients = [torch.zeros_like(g) if x is None else x for g, x in zip(given, rows, strict=True)]
    return loss.detach(), gradients[0], torch.stack(gradients, -1)


@pytest.mark.parametrize("name", NAMES)
def test_rubbish_in_the_padding_changes_nothing(name):
    config = AlignConfig()
    found = []
    for rubbish in (0.0, 1e3):
        rollout = ALGORITHMS[name].prepare(for_algorithm(name, rubbish=rubbish), config)
        loss, _, gradient = loss_and_gradient(name, rollout, config)
        assert gradient[~rollout.mask].abs().sum() == 0
        found.append((loss, gradient[rollout.mask]))
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_micro_batches_add_up(name):
    """However a batch is cut, pairs of DPO apart too."""
    config = AlignConfig()
    rollout = ALGORITHMS[name].prepare(for_algorithm(name), config)
    whole, _, gradient = loss_and_gradient(name, rollout, config, shift=0.05)
    parts = [loss_and_gradient(name, rollout.rows(i), config, shift=0.05) for i in torch.arange(8).split(3)]
    torch.testing.assert_close(sum(p[0] for p in parts), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.cat([p[2] for p in parts]), gradient, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_shares_that_add_up(name):
    config = AlignConfig()
    rollout = ALGORITHMS[name].prepare(for_algorithm(name), config)
    whole = ALGORITHMS[name].loss(outputs_of(rollout, 0.05), rollout, config)[1]
    cut = [rollout.rows(i) for i in torch.arange(8).split(3)]
    parts = [ALGORITHMS[name].loss(outputs_of(part, 0.05), part, config)[1] for part in cut]
    for key, value in whole.items():
        assert abs(sum(p[key] for p in parts) - value) < 1e-12, key


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_loss_makes_the_better_answer_likelier(name):
    """Fails when the sign of the loss, or of the advantage, is flipped."""
    if name == "ilql":
        pytest.skip("ILQL's log-likelihood raises every given answer; its Q tells them apart, see the next test")
    config = AlignConfig()
    scores = torch.tensor([3.0, -1.0, 3.0, -1.0] if name in PAIRED else [3.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    # Both soft Q-learning and DPO need a weight of the KL, however small.
    rollout = replace(for_algorithm(name, b=4), scores=scores, kl_coef=1e-3)
    zero = torch.zeros_like(rollout.values)
    rollout = replace(rollout, values=zero, target_values=zero)
    _, gradient, _ = loss_and_gradient(name, ALGORITHMS[name].prepare(rollout, config), config)
    step = torch.where(rollout.mask, -gradient, 0.0).sum(-1)
    assert step[scores > 0].min() > 0 > step[scores < 0].max()


@pytest.mark.parametrize("name", [n for n in NAMES if "q1" in ALGORITHMS[n].heads])
def test_a_step_down_the_loss_makes_the_better_answer_worth_more(name):
    config = AlignConfig()
    scores = torch.tensor([9.0, -9.0, -9.0, -9.0], dtype=torch.float64)
    rollout = replace(make_rollout(b=4), scores=scores)
    _, _, gradient = loss_and_gradient(name, rollout, config)
    last = rollout.mask.sum(-1) - 1
    step = -gradient[torch.arange(4), last][:, 2:4]
    assert step[0].min() > 0 > step[1:].max()


@pytest.mark.parametrize("name", NAMES)
def test_one_prompt_of_eight_answers_equals_eight_in_any_order(name):
    """The order of answers changes nothing, nor do the numbers that tell groups apart."""
    config = AlignConfig()
    rollout = for_algorithm(name)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    mixed = replace(rollout.rows(order), group=rollout.rows(order).group * 7 + 3)
    a, _, first = loss_and_gradient(name, ALGORITHMS[name].prepare(rollout, config), config)
    b, _, second = loss_and_gradient(name, ALGORITHMS[name].prepare(mixed, config), config)
    torch.testing.assert_close(b, a, atol=1e-12, rtol=0)
    torch.testing.assert_close(second, first[order], atol=1e-12, rtol=0)


def test_the_first_gradient_of_ppo_is_that_of_reinforce():
    config = AlignConfig(algorithm="ppo")
    rollout = ALGORITHMS["ppo"].prepare(make_rollout(), config)
    _, gradient, _ = loss_and_gradient("ppo", rollout, config)
    expected = torch.where(rollout.mask, -rollout.advantages / rollout.tokens, 0.0)
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=0)


def test_ppo_stops_pushing_outside_the_clip():
    config = AlignConfig(algorithm="ppo")
    rollout = ALGORITHMS["ppo"].prepare(make_rollout(), config)
    _, gradient, _ = loss_and_gradient("ppo", rollout, config, shift=0.5)
    good = rollout.mask & (rollout.advantages > 0)
    bad = rollout.mask & (rollout.advantages < 0)
    assert gradient[good].abs().max() == 0
    assert gradient[bad].abs().min() > 0


@pytest.mark.parametrize("name", ["rloo", "reinforce", "grpo"])
def test_equal_rewards_teach_nothing(name):
    """And no NaN comes of a deviation of 0."""
    rollout = replace(make_rollout(), scores=torch.ones(8, dtype=torch.float64), kl_coef=0.0)
    prepared = ALGORITHMS[name].prepare(rollout, AlignConfig())
    assert prepared.advantages.abs().max() < 1e-12
