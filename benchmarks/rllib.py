"""RLlib's PPO beside ours on one task: what each reaches, in how many sampled tokens and seconds.

The customer-service scenario in a small form: 16 requests, replies of one sentence, a Llama of 2 layers and d 64 that
was taught such sentences of all styles, and as the reward what the known truth says of a reply (mean of its three
grades). Both have the same KL weight, learning rate, passes and minibatches, and nearly as many tokens in a step: ours
samples whole answers, RLlib tokens. The end is the mean reward of fresh answers to the same requests by each trained
policy, with a 95% interval over requests.

`python benchmarks/rllib.py [STEPS] [SEEDS]` writes rllib.json. One thread.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from trueline.align.answers import answer
from trueline.align.journal import Row
from trueline.align.judgement import Judgement
from trueline.align.trainer import AlignTask, align
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.engines.ray.cluster import cluster
from trueline.engines.rllib.engine import run
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy, load_policy, save_policy
from trueline.policy.scoring import make_batch, score
from trueline.records import Exchange
from trueline.scenarios.customer_service import SCENARIO, draw_prompt, grammar
from trueline.scenarios.customer_service.facts import Facts
from trueline.scenarios.customer_service.truth import sentences

PROMPTS, SAMPLES, LONGEST = 16, 32, 16
ANSWERS, TOKENS, STEPS, SEEDS = 48, 512, 40, 3
TAUGHT = 400


def judge(exchanges: Sequence[Exchange]) -> Judgement:
    grades = [SCENARIO.truth(e) for e in exchanges]
    rewards = np.array([(g.quality + g.safety + g.consistency) / 3 for g in grades])
    return Judgement(rewards, {"reward": float(rewards.mean())})


def taught(folder: Path) -> Path:
    """The small policy that both start from."""
    tokenizer = load_policy(SCENARIO.policy_folder, device="cpu").tokenizer
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    policy = Policy(LlamaForCausalLM(config), tokenizer, "small")
    policy.model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    optimiser = torch.optim.Adam(policy.model.parameters(), lr=3e-3)
    rng = np.random.default_rng(0)
    for _ in range(TAUGHT):
        asked = [draw_prompt(rng) for _ in range(32)]
        said = [grammar.reply(Facts(**p.meta), str(rng.choice(list(grammar.STYLES))), rng) for p in asked]
        answers = [encode_answer(policy, str(rng.choice(sentences(text))).strip()) for text in said]
        batch = make_batch([encode_prompt(policy, p, 64) for p in asked], answers, policy.pad_id)
        loss = -score(policy.model, batch, 1.0).logprobs[batch.mask].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder.mkdir()
    save_policy(policy, folder)
    return folder


def task(policy: Path, seed: int, steps: int) -> AlignTask:
    config = Config(
        policy=PolicyConfig(max_new_tokens=LONGEST),
        align=AlignConfig(
            algorithm="ppo", steps=steps, prompts_per_step=PROMPTS, samples_per_prompt=ANSWERS // PROMPTS, workers=1,
            learning_rate=1e-3, ppo={"epochs": 2, "minibatches": 4, "critic_warmup": 0}, check_every=0,
            rllib={"iterations": steps, "batch": TOKENS, "minibatch": TOKENS // 4, "epochs": 2, "learning_rate": 1e-3},
        ),
    )  # fmt: skip
    return AlignTask(str(policy), str(policy), SCENARIO.prompts(PROMPTS, "train", 0), judge, config, seed)


def reached(folder: Path, asked: AlignTask) -> tuple[float, float]:
    """Mean reward of fresh answers, and the half of its 95% interval, prompts being drawn."""
    answers = answer(load_policy(folder), asked.prompts, asked.config.policy, SAMPLES, "policy:trained", ("end", 1))
    means = judge(answers.exchanges).rewards.reshape(PROMPTS, SAMPLES).mean(1)
    return float(means.mean()), float(1.96 * means.std(ddof=1) / np.sqrt(PROMPTS))


def measure(name: str, policy: Path, seed: int, steps: int) -> dict[str, Any]:
    """A row a run. Seconds are those of training, without starting Ray or loading models."""
    asked, tokens = task(policy, seed, steps), 0
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        trained = (run if name == "rllib" else align)(asked, Path(folder) / "run", rows.append)
        end, half = reached(trained, asked)
    for row in rows:
        tokens = row["tokens"] if name == "rllib" else tokens + round(row["length"] * ANSWERS)
    return {
        "engine": name,
        "seed": seed,
        "steps": len(rows),
        "tokens": tokens,
        "seconds": sum(r["seconds_rollout"] + r["seconds_update"] for r in rows),
        "reward_first": rows[0]["reward"],
        "reward_end": end,
        "half_interval": half,
        "kl_end": rows[-1]["kl"],
        "rewards": [round(r["reward"], 4) for r in rows if "reward" in r],
    }


def main(steps: int, seeds: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, cluster("", 1):
        policy = taught(Path(folder) / "policy")
        before = reached(policy, task(policy, 0, 1))
        runs = [measure(name, policy, seed, steps) for seed in range(seeds) for name in ("trueline", "rllib")]
    about = {"before": before, "prompts": PROMPTS, "longest_answer": LONGEST, "machine": platform.machine()}
    Path(__file__).with_suffix(".json").write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")
    print("before", before)
    for one in runs:
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in one.items() if k != "rewards"})


if __name__ == "__main__":
    main(*(int(x) for x in sys.argv[1:]), *(STEPS, SEEDS)[len(sys.argv) - 1 :])
