"""Token log-probabilities in place against plain autograd, in float64."""

import pytest
import torch

from trueline.policy.logprobs import has_plain_head, token_logprobs


def case(n=600, h=7, v=50):
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, h, generator=g, dtype=torch.float64).requires_grad_()
    weight = torch.randn(v, h, generator=g, dtype=torch.float64).requires_grad_()
    return hidden, weight, torch.randint(0, v, (n,), generator=g), torch.randn(n, generator=g, dtype=torch.float64)


def test_values_and_gradients_are_those_of_log_softmax():
    hidden, weight, chosen, flow = case()
    logprobs, entropy = token_logprobs(hidden, weight, chosen)
    (logprobs * flow).sum().backward()
    ours = hidden.grad.clone(), weight.grad.clone()
    hidden.grad = weight.grad = None
    plain = torch.log_softmax(hidden @ weight.T, -1)
    picked = plain.gather(-1, chosen[:, None]).squeeze(-1)
    (picked * flow).sum().backward()
    torch.testing.assert_close(logprobs, picked, atol=1e-12, rtol=0)
    torch.testing.assert_close(entropy, -(plain.exp() * plain).sum(-1), atol=1e-12, rtol=0)
    torch.testing.assert_close(ours, (hidden.grad, weight.grad), atol=1e-10, rtol=0)


def test_a_token_that_cannot_be_drawn_spoils_nothing():
    weight = torch.tensor([[1.0], [float("-inf")], [2.0]], dtype=torch.float64)
    logprobs, entropy = token_logprobs(torch.ones(1, 1, dtype=torch.float64), weight, torch.tensor([2]))
    expected = torch.log_softmax(torch.tensor([1.0, 2.0], dtype=torch.float64), 0)
    assert logprobs.item() == pytest.approx(expected[1].item())
    assert entropy.item() == pytest.approx(-(expected.exp() * expected).sum().item())


def test_a_head_that_is_not_plain_is_noticed(tiny):
    assert has_plain_head(tiny.model)
    model = type(tiny.model)(tiny.model.config)
    forward = model.forward

    def capped(*arguments, **options):
        out = forward(*arguments, **options)
        out.logits = 30 * torch.tanh(out.logits / 0.3)
        return out

    model.forward = capped
    assert not has_plain_head(model)
