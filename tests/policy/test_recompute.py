"""Activation checkpointing: the same gradients from fewer kept numbers, dropout still off, sampling as before."""

import pytest
import torch
from test_families import policy_of, prompts_of
from torch.autograd.graph import saved_tensors_hooks

from trueline.errors import InputError
from trueline.policy.recompute import recompute_activations
from trueline.policy.scoring import make_batch, score


def gradients_and_kept(policy):
    """Gradients by name, and how many numbers the forward pass kept for the backward pass."""
    policy.model.zero_grad()
    batch = make_batch(prompts_of(policy), [[7, 8, 9, 60, 70], [11], [50, 60, 70]], policy.pad_id)
    kept = []
    with saved_tensors_hooks(lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
        loss = score(policy.model, batch, 1.0).logprobs[batch.mask].sum()
    loss.backward()
    return {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}, sum(kept)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2", "lfm2"])
def test_gradients_are_equal_and_less_is_kept(family):
    policy = policy_of.__wrapped__(family)
    expected, much = gradients_and_kept(policy)
    recompute_activations(policy.model)
    found, little = gradients_and_kept(policy)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
    assert little < 0.75 * much
    assert not policy.model.training


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(InputError, match=r"align\.recompute"):
        recompute_activations(torch.nn.Linear(2, 2))
