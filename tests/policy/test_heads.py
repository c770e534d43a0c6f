"""Heads on the trunk: nothing at first, and a saved Q policy draws as its formula says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trueline.errors import InputError
from trueline.policy.chat import encode_prompt
from trueline.policy.heads import FILE, load_shape, new_head, q_shape, save_heads
from trueline.policy.load import load_policy, save_policy
from trueline.policy.sampler import sample
from trueline.policy.scoring import make_batch
from trueline.records import Prompt

H, V, CPU = 8, 11, torch.device("cpu")


def trained_heads(hidden=H, vocabulary=V):
    """Q heads with random last layers, as a run would leave them."""
    torch.manual_seed(0)
    heads = torch.nn.ModuleDict({name: new_head(name, hidden, vocabulary, CPU) for name in ("q1", "q2")})
    for head in heads.values():
        torch.nn.init.normal_(head[2].weight)
    return heads


@pytest.mark.parametrize("name", ["value", "q1", "q2"])
def test_a_new_head_says_nothing_and_is_always_the_same(name):
    a, b = new_head(name, H, V, CPU), new_head(name, H, V, CPU)
    assert a(torch.randn(3, H)).abs().max() == 0
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_twins_differ():
    assert not torch.equal(new_head("q1", H, V, CPU)[0].weight, new_head("q2", H, V, CPU)[0].weight)


def test_the_shape_is_log_pi_plus_beta_times_the_smaller_q(tmp_path):
    heads = trained_heads()
    hidden, logits, value = torch.randn(4, H), torch.randn(4, V), torch.randn(4, 1)
    save_heads(dict(heads.named_parameters()), 2.5, tmp_path)
    found = torch.log_softmax(load_shape(tmp_path, CPU)(hidden, logits), -1)
    advantage = torch.minimum(heads["q1"](hidden), heads["q2"](hidden)) - value
    expected = torch.log_softmax(torch.log_softmax(logits, -1) + 2.5 * advantage, -1)
    torch.testing.assert_close(found, expected)


def test_a_saved_q_policy_draws_from_its_shaped_logits(tiny, tmp_path):
    """Captured log-probabilities against the formula over a scoring pass of the whole answer."""
    heads = trained_heads(32, tiny.model.config.vocab_size)
    save_policy(tiny, tmp_path)
    save_heads(dict(heads.named_parameters()), 0.5, tmp_path)
    policy = load_policy(tmp_path, device="cpu")
    prompt = encode_prompt(policy, Prompt.from_user("order kettle"), 64)
    rows = sample(policy, [prompt], [[("k", i) for i in range(6)]], max_new_tokens=10, temperature=0.8,
                  shape=policy.shape)[0]  # fmt: skip
    batch = make_batch([prompt] * 6, [s.tokens for s in rows], policy.pad_id)
    with torch.no_grad():
        out = policy.model(input_ids=batch.tokens, output_hidden_states=True)
        shaped = q_shape(dict(heads.named_parameters()), 0.5)(out.hidden_states[-1], out.logits)
    logprobs = torch.log_softmax(shaped[:, len(prompt) - 1 : -1] / 0.8, -1)
    for i, s in enumerate(rows):
        expected = [logprobs[i, t, token].item() for t, token in enumerate(s.tokens)]
        np.testing.assert_allclose(s.logprobs, expected, atol=1e-4)
    plain = sample(replace(policy, shape=None), [prompt], [[("k", i) for i in range(6)]], max_new_tokens=10,
                   temperature=0.8)[0]  # fmt: skip
    assert [s.tokens for s in plain] != [s.tokens for s in rows]


def test_a_policy_without_heads_has_no_shape(tiny):
    assert tiny.shape is None


@pytest.mark.parametrize("content", [b"", b"no tensors"])
def test_a_bad_file_is_named(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"heads.safetensors: not the Q heads of a policy"):
        load_shape(tmp_path, CPU)


def test_heads_without_their_weight_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file(dict(trained_heads().named_parameters()), tmp_path / FILE)
    with pytest.raises(InputError, match="not the Q heads"):
        load_shape(tmp_path, CPU)
