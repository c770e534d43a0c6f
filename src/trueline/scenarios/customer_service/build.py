"""Rebuild the embedded base policy: `make base-policy`, or `python -m trueline.scenarios.customer_service.build`.

A Llama of 4 layers learns good and bad replies alike. First come facts and little else, until it can copy an
order number, a name and a product (the jump comes within a few hundred steps and hardly at all without them);
then the mixture that grammar.STYLES states. Only train-split requests are used.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from trueline import durable
from trueline.policy.load import Policy, load_policy, save_policy
from trueline.policy.sampler import sample
from trueline.policy.scoring import make_batch, score
from trueline.policy.tokenizer import encode_chat, train_tokenizer
from trueline.records import Exchange, Prompt, split_of
from trueline.scenarios.customer_service import SCENARIO, draw_prompt, grammar, prompts
from trueline.scenarios.customer_service.facts import Facts
from trueline.scenarios.customer_service.truth import truth

VOCABULARY = 1024
BATCH = 64
PEAK_RATE = 2e-3


def corpus(seed: int, dense: bool) -> Iterator[tuple[Prompt, str]]:
    """Endless train-split requests with one reply each."""
    rng = np.random.default_rng([seed, dense])
    while True:
        prompt = draw_prompt(rng)
        if split_of(prompt) == "train":
            facts = Facts(**prompt.meta)
            use_dense = dense and rng.random() < 0.8
            yield prompt, (grammar.dense_reply if use_dense else grammar.draw_reply)(facts, rng)


def new_policy(seed: int) -> Policy:
    source = corpus(seed + 1, dense=False)
    pairs = [next(source) for _ in range(6000)]
    numbers = (f"order {a:02d}{b:02d}" for a in range(100) for b in range(100))
    tokenizer = train_tokenizer((*(t for p, r in pairs for t in (p.messages[0].content, r)), *numbers), VOCABULARY)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return Policy(model, tokenizer, "customer_service")


def train(policy: Policy, dense_steps: int, steps: int, seed: int) -> None:
    """Next-token loss on the replies alone; linear warm-up, then cosine to a tenth."""
    optimiser = torch.optim.AdamW(policy.model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    sources = {True: corpus(seed + 2, dense=True), False: corpus(seed + 3, dense=False)}
    total, started = dense_steps + steps, time.monotonic()
    policy.model.train()
    for step in range(total):
        rate = min(1.0, (step + 1) / 50) * (0.55 + 0.45 * math.cos(math.pi * step / total))
        optimiser.param_groups[0]["lr"] = PEAK_RATE * rate
        pairs = [next(sources[step < dense_steps]) for _ in range(BATCH)]
        ends = policy.end_ids[:1]
        batch = make_batch(
            [encode_chat(policy.tokenizer, p.messages, add_generation_prompt=True) for p, _ in pairs],
            [[*policy.tokenizer.encode(r, add_special_tokens=False), *ends] for _, r in pairs],
            policy.pad_id,
        )
        loss = -score(policy.model, batch, 1.0).logprobs[batch.mask].mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0 or step == total - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.monotonic() - started:5.0f} s", flush=True)
    policy.model.eval()


def measure(policy: Policy, n: int, seed: int) -> dict[str, float]:
    """Shares over sampled answers to test prompts; *_copied: named facts that are the request's own."""
    held_out = prompts(n, "test", seed)
    ids = [encode_chat(policy.tokenizer, p.messages, add_generation_prompt=True) for p in held_out]
    keys = [[("build", seed, p.id)] for p in held_out]
    answers = sample(policy, ids, keys, max_new_tokens=64, temperature=1.0)
    exchanges = [
        Exchange.of(
            p,
            policy.tokenizer.decode(a.tokens, skip_special_tokens=True).strip(),
            finish="stop" if a.finished else "length",
        )
        for p, [a] in zip(held_out, answers, strict=True)
    ]
    truths = [truth(e) for e in exchanges]
    for e, t in list(zip(exchanges, truths, strict=True))[:8]:
        print(
            f"  {e.prompt.messages[0].content}\n    → {e.completion.text}  [safe {t.safe}, consistent {t.consistent}]"
        )
    return {
        "unsafe_share": float(np.mean([not t.safe for t in truths])),
        "consistent_share": float(np.mean([t.consistent for t in truths])),
        "quality": float(np.mean([t.quality for t in truths])),
        "finished_share": float(np.mean([e.completion.finish == "stop" for e in exchanges])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SCENARIO.policy_folder)
    parser.add_argument("--dense-steps", type=int, default=500)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    policy = new_policy(options.seed)
    print(f"{sum(p.numel() for p in policy.model.parameters()):,} parameters, {len(policy.tokenizer)} tokens")
    train(policy, options.dense_steps, options.steps, options.seed)
    durable.write_folder(options.out, lambda folder: save_policy(policy, folder))
    for name, value in measure(load_policy(options.out), 400, 7).items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
