"""Advantages against closed forms and brute force."""

import torch

from trueline.align.advantages import generalised_advantages, leave_one_out, masked_mean, token_rewards, whiten


def test_leave_one_out_known_answer():
    rewards = torch.tensor([0.8, 0.2, 0.5, 0.9], dtype=torch.float64)
    found = leave_one_out(rewards, torch.zeros(4))
    expected = torch.tensor([0.8 - 1.6 / 3, 0.2 - 2.2 / 3, 0.5 - 1.9 / 3, 0.9 - 1.5 / 3], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_leave_one_out_keeps_groups_apart_and_survives_equal_rewards():
    rewards = torch.tensor([1.0, 3.0, 5.0, 5.0, 7.0])
    found = leave_one_out(rewards, torch.tensor([0, 0, 1, 1, 2]))
    torch.testing.assert_close(found, torch.tensor([-2.0, 2.0, 0.0, 0.0, 0.0]))


def test_whiten_counts_only_the_mask():
    x = torch.tensor([[1.0, 2.0, 1e9], [3.0, 4.0, float("nan")]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, False]])
    found = whiten(x, mask)
    assert abs(masked_mean(found, mask).item()) < 1e-12
    assert abs(masked_mean(found**2, mask).item() - 1) < 1e-6
    assert found[~mask].abs().sum() == 0


def test_token_rewards_put_the_score_on_the_last_real_token():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    logprobs, reference = torch.full((2, 3), -1.0), torch.full((2, 3), -1.5)
    found = token_rewards(torch.tensor([2.0, -1.0]), logprobs, reference, mask, 0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.05, 1.95, 0.0], [-0.05, -0.05, -1.05]]))


def test_gae_equals_the_sum_over_deltas():
    torch.manual_seed(0)
    gamma, lam = 0.9, 0.8
    rewards, values = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    lengths = [5, 3, 1]
    mask = torch.tensor([[t < n for t in range(5)] for n in lengths])
    advantages, returns = generalised_advantages(rewards, values, mask, gamma, lam)
    for i, n in enumerate(lengths):
        v = [*values[i, :n].tolist(), 0.0]
        deltas = [rewards[i, t].item() + gamma * v[t + 1] - v[t] for t in range(n)]
        for t in range(n):
            expected = sum((gamma * lam) ** (s - t) * deltas[s] for s in range(t, n))
            assert abs(advantages[i, t].item() - expected) < 1e-12
            assert abs(returns[i, t].item() - expected - v[t]) < 1e-12
        assert advantages[i, n:].abs().sum() == 0


def test_gae_at_lambda_one_is_the_monte_carlo_return():
    rewards = torch.tensor([[0.0, 0.0, 1.0]])
    values = torch.tensor([[0.3, -0.2, 0.7]])
    advantages, returns = generalised_advantages(rewards, values, torch.ones(1, 3, dtype=torch.bool), 1.0, 1.0)
    torch.testing.assert_close(advantages, 1.0 - values)
    torch.testing.assert_close(returns, torch.ones(1, 3))
