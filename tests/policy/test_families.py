"""Every family of models through the same contract: sampler against generate, scoring pass, padding, chat, saving.

Tiny random models with what sets a family apart: partial rotary positions, learned positions, windows of attention
shorter than a prompt, softcapped logits, grouped keys, hybrids with a state. Ending is made likely, so that answers
leave the batch at different times.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from trueline.policy.chat import encode_prompt
from trueline.policy.load import Policy, load_policy, save_policy
from trueline.policy.sampler import sample
from trueline.policy.scoring import make_batch, score
from trueline.policy.tokenizer import train_tokenizer
from trueline.records import Message, Prompt

TEXTS = ["hello we will send", "order 12 34 kettle broken anna late refund thanks today 56 78", "a"]
TOKENIZER = train_tokenizer([" ".join(TEXTS)] * 20, 320, chat=False)
ENDS = [TOKENIZER.eos_token_id, *range(20, 44)]

COMMON = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3,
}  # fmt: skip
WINDOWS = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip
MAMBA_2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**COMMON, "tie_word_embeddings": True},
    "llama 3": {**COMMON, "rope_parameters": LLAMA_3, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
    "mistral": {**COMMON, "sliding_window": 8},
    "qwen2": COMMON,
    "qwen3": {**COMMON, "head_dim": 16},
    "gemma2": {**COMMON, **WINDOWS, "head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {**COMMON, **WINDOWS, "head_dim": 8, "query_pre_attn_scalar": 8},
    "phi": {**COMMON, "num_key_value_heads": 4},
    "phi3": COMMON,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3},
    "gpt_neox": {k: v for k, v in COMMON.items() if k != "num_key_value_heads"},
    "lfm2": {**COMMON, "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "jamba": {**COMMON, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "mamba_d_state": 8},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "initializer_range": 0.3},
    "falcon_h1": {**COMMON, **MAMBA_2, "head_dim": 8, "mamba_d_ssm": 64},
}  # fmt: skip
every_family = pytest.mark.parametrize("family", FAMILIES)


@cache
def policy_of(family: str) -> Policy:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family.split()[0], vocab_size=len(TOKENIZER), bos_token_id=None, eos_token_id=TOKENIZER.eos_token_id,
        pad_token_id=TOKENIZER.pad_token_id, **FAMILIES[family],
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config = GenerationConfig(eos_token_id=ENDS, pad_token_id=TOKENIZER.pad_token_id)
    return Policy(model, TOKENIZER, family)


def prompts_of(policy: Policy) -> list[list[int]]:
    return [encode_prompt(policy, Prompt.from_user(text), 64) for text in TEXTS]


def keys(n: int, k: int) -> list[list[tuple[str | int, ...]]]:
    return [[("families", i, j) for j in range(k)] for i in range(n)]


@torch.inference_mode()
def alone(policy: Policy, prompt: list[int], answer: list[int], temperature: float) -> torch.Tensor:
    """Log-probabilities of one answer from a plain forward pass: no batch, no padding, no cache."""
    logits = policy.model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0].float()
    logprobs = torch.log_softmax(logits / temperature, -1)[len(prompt) - 1 : -1]
    return logprobs.gather(-1, torch.tensor(answer)[:, None])[:, 0]


@every_family
def test_low_temperature_equals_greedy_generate(family):
    policy = policy_of(family)
    prompts = prompts_of(policy)
    rows = sample(policy, prompts, keys(3, 1), max_new_tokens=12, temperature=1e-4)
    for prompt, [answer] in zip(prompts, rows, strict=True):
        out = policy.model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)
        assert answer.tokens == out[0, len(prompt) :].tolist()


@every_family
def test_captured_logprobs_equal_a_scoring_pass_and_a_plain_one(family):
    policy = policy_of(family)
    prompts = prompts_of(policy)
    rows = sample(policy, prompts, keys(3, 4), max_new_tokens=16, temperature=0.8)
    flat = [(prompt, answer) for prompt, row in zip(prompts, rows, strict=True) for answer in row]
    assert len({len(answer.tokens) for _, answer in flat}) > 2
    batch = make_batch([p for p, _ in flat], [a.tokens for _, a in flat], policy.pad_id)
    with torch.no_grad():
        scored = score(policy.model, batch, 0.8).logprobs
    for i, (prompt, answer) in enumerate(flat):
        captured = torch.tensor(answer.logprobs)
        torch.testing.assert_close(scored[i, : len(captured)], captured, atol=1e-5, rtol=0)
        torch.testing.assert_close(alone(policy, prompt, answer.tokens, 0.8), captured, atol=1e-5, rtol=0)


@every_family
def test_left_padding_changes_no_sample(family):
    policy = policy_of(family)
    prompts = prompts_of(policy)
    together = sample(policy, prompts, keys(3, 2), max_new_tokens=12, temperature=1.0)
    for prompt, key, answers in zip(prompts, keys(3, 2), together, strict=True):
        [single] = sample(policy, [prompt], [key], max_new_tokens=12, temperature=1.0)
        assert [a.tokens for a in single] == [a.tokens for a in answers]
        for a, b in zip(single, answers, strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


@every_family
def test_samples_of_one_prompt_equal_single_ones(family):
    policy = policy_of(family)
    prompt = prompts_of(policy)[1]
    [shared] = sample(policy, [prompt], keys(1, 5), max_new_tokens=12, temperature=1.0)
    for key, answer in zip(keys(1, 5)[0], shared, strict=True):
        assert sample(policy, [prompt], [[key]], max_new_tokens=12, temperature=1.0)[0][0].tokens == answer.tokens


@every_family
def test_padding_changes_no_score(family):
    policy = policy_of(family)
    prompts, answers = prompts_of(policy), [[7, 8, 9, 60, 70], [11], [50, 60, 70]]
    with torch.no_grad():
        scored = score(policy.model, make_batch(prompts, answers, policy.pad_id), 1.0).logprobs
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        torch.testing.assert_close(scored[i, : len(answer)], alone(policy, prompt, answer, 1.0), atol=1e-5, rtol=0)


@every_family
def test_a_saved_policy_is_the_same_model(family, tmp_path):
    policy = policy_of(family)
    save_policy(policy, tmp_path)
    loaded = load_policy(tmp_path, device="cpu")
    ids = torch.tensor([prompts_of(policy)[1]])
    with torch.inference_mode():
        assert torch.equal(policy.model(input_ids=ids).logits, loaded.model(input_ids=ids).logits)
    assert loaded.end_ids == policy.end_ids
    assert prompts_of(loaded) == prompts_of(policy)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TALK = (Message("user", "hello"), Message("assistant", "a kettle"), Message("user", "broken"))


def with_template(template: str | None) -> Policy:
    tokenizer = train_tokenizer([" ".join(TEXTS)] * 20, 320, chat=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    return Policy(policy_of("llama").model, tokenizer, "llama")


def test_a_chat_template_is_used_where_there_is_one(tmp_path):
    policy = with_template(CHATML)
    ids = encode_prompt(policy, Prompt((Message("system", "send"), *TALK)), 200)
    expected = "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for role, text in [("system", "send"), *((m.role, m.content) for m in TALK)]
    )
    assert policy.tokenizer.decode(ids) == expected + "<|im_start|>assistant\n"
    assert ids.count(policy.tokenizer.convert_tokens_to_ids("<|im_start|>")) == 5
    save_policy(policy, tmp_path)
    assert encode_prompt(load_policy(tmp_path, device="cpu"), Prompt(TALK), 200) == encode_prompt(
        policy, Prompt(TALK), 200
    )


def test_a_template_that_refuses_a_system_turn_gets_it_with_the_first_question():
    policy = with_template(GEMMA)
    ids = encode_prompt(policy, Prompt((Message("system", "send"), *TALK)), 200)
    assert policy.tokenizer.decode(ids) == (
        "<start_of_turn>user\nsend\n\nhello<end_of_turn>\n<start_of_turn>model\na kettle<end_of_turn>\n"
        "<start_of_turn>user\nbroken<end_of_turn>\n<start_of_turn>model\n"
    )


def test_a_base_model_reads_plain_text():
    policy = with_template(None)
    assert policy.tokenizer.decode(encode_prompt(policy, Prompt.from_user("order 12"), 200)) == "order 12"
    text = policy.tokenizer.decode(encode_prompt(policy, Prompt(TALK), 200))
    assert text == "User: hello\n\nAssistant: a kettle\n\nUser: broken\n\nAssistant:"
