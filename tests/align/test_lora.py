"""LoRA: small matrices learn, the reference costs nothing, and the result is an ordinary model."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_trainer import PROMPTS, align, task, weights

from trueline.align.journal import read_metrics
from trueline.policy.chat import encode_prompt
from trueline.policy.load import load_policy
from trueline.policy.lora import add_lora, merge_lora, without_lora
from trueline.policy.sampler import sample
from trueline.policy.scoring import make_batch, score

SETTINGS = {"lora_rank": 4, "learning_rate": 2e-2, "kl": {"coefficient": 0.001}, "prompts_per_step": 8}


def batch_of(policy):
    return make_batch([encode_prompt(policy, p, 64) for p in PROMPTS[:3]], [[5, 6, 7], [8], [9, 10]], policy.pad_id)


@torch.no_grad()
def test_the_adapters_off_are_the_policy_before(tiny, tiny_folder):
    batch = batch_of(tiny)
    before = score(tiny.model, batch, 1.0).logprobs
    grown = add_lora(load_policy(tiny_folder, device="cpu"), 4)
    torch.testing.assert_close(score(grown.model, batch, 1.0).logprobs[batch.mask], before[batch.mask])
    for name, parameter in grown.model.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)
        if "lora_B" in name:
            parameter.normal_()
    moved = score(grown.model, batch, 1.0).logprobs
    assert (moved - before)[batch.mask].abs().max() > 0.1
    off = score(without_lora(grown).model, batch, 1.0).logprobs
    torch.testing.assert_close(off[batch.mask], before[batch.mask], atol=1e-5, rtol=0)
    whole = merge_lora(grown)
    torch.testing.assert_close(
        score(whole.model, batch, 1.0).logprobs[batch.mask], moved[batch.mask], atol=1e-4, rtol=0
    )


def test_the_sampler_sees_the_adapters(tiny_folder):
    grown = add_lora(load_policy(tiny_folder, device="cpu"), 4)
    with torch.no_grad():
        for name, parameter in grown.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    prompts = [encode_prompt(grown, p, 64) for p in PROMPTS[:2]]
    keys = [[("l", i)] for i in range(2)]
    rows = sample(grown, prompts, keys, max_new_tokens=8, temperature=1.0)
    with torch.no_grad():
        scored = score(grown.model, make_batch(prompts, [r[0].tokens for r in rows], grown.pad_id), 1.0).logprobs
    for i, [s] in enumerate(rows):
        np.testing.assert_allclose(scored[i, : len(s.tokens)].numpy(), s.logprobs, atol=1e-4)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_raises_the_reward_and_ends_in_an_ordinary_model(tiny_folder, tmp_path, workers):
    align(task(tiny_folder, steps=30, workers=workers, **SETTINGS), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    start, end = (np.mean([r["reward"] for r in part]) for part in (rows[:4], rows[-4:]))
    assert end > start + 0.2
    assert abs(rows[0]["kl"]) < 1e-4 < rows[-1]["kl"]
    saved = load_file(tmp_path / "run" / "checkpoints" / "step-000030" / "weights.safetensors")
    assert saved and all("lora_" in name for name in saved)
    assert load_policy(tmp_path / "run" / "policy").model.config.model_type == "llama"


def test_stopped_and_resumed_it_ends_the_same(tiny_folder, tmp_path):
    def stop(row):
        if row["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(task(tiny_folder, **SETTINGS), tmp_path / "stopped", stop)
    align(task(tiny_folder, **SETTINGS), tmp_path / "stopped")
    align(task(tiny_folder, **SETTINGS), tmp_path / "whole")
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
