"""What the benchmarks run on, here and in TRL's environment: needs torch, transformers, tokenizers, psutil.

A step is 64 answers of exactly 48 tokens to prompts of 16: for RLOO and GRPO 4 answers to each of 16 prompts, for PPO
one to each of 64. Padding and end token are ids behind the model's vocabulary, so that no answer ends early.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ANSWERS, GROUP, PROMPT_TOKENS, NEW_TOKENS = 64, 4, 16, 48
KL, PPO_EPOCHS, LEARNING_RATE = 0.05, 4, 1e-5
THREADS = int(os.environ.get("BENCH_THREADS", "2"))
ALGORITHMS = ("rloo", "grpo", "ppo")
_SHAPE = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
MODELS = {"15M": (32_000, 288, 768, 6, 6), "0.9M": (1_024, 128, 352, 4, 4)}


def config(name: str) -> LlamaConfig:
    return LlamaConfig(
        **dict(zip(_SHAPE, MODELS[name], strict=True)),
        num_key_value_heads=MODELS[name][-1],
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )


def model(name: str) -> LlamaForCausalLM:
    """Random weights, the same ones everywhere."""
    torch.manual_seed(0)
    return LlamaForCausalLM(config(name)).eval()


def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A word "w17" for token 17."""
    size = MODELS[name][0]
    words = {f"w{i}": i for i in range(size)} | {"<pad>": size, "<end>": size + 1}
    words_only = Tokenizer(models.WordLevel(words))
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words_only, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def prompts(name: str, n: int = ANSWERS) -> list[str]:
    numbers = torch.randint(0, MODELS[name][0], (n, PROMPT_TOKENS), generator=torch.Generator().manual_seed(1))
    return [" ".join(f"w{i}" for i in row) for row in numbers.tolist()]


def even_share(answer: str) -> float:
    """The reward: the share of an answer's tokens whose id is even."""
    words = answer.split()
    return sum(int(word[1:]) % 2 == 0 for word in words) / max(1, len(words))


def report(engine: str, algorithm: str, name: str, ends: Sequence[float], **more: Any) -> dict[str, Any]:
    """What a step script prints; `ends` are the moments at which steps ended, so the first step is left out."""
    seconds = [b - a for a, b in zip(ends, ends[1:], strict=False)]
    return {
        "engine": engine,
        "algorithm": algorithm,
        "model": name,
        "seconds_per_step": statistics.median(seconds),
        "seconds": [round(s, 4) for s in seconds],
        "tokens_per_step": ANSWERS * NEW_TOKENS,
        "peak_mb": peak_mb(),
        **more,
    }


def peak_mb() -> float:
    """The most memory that this process and each of its living children has held; what they share counts twice.

    Not getrusage: on Linux its figure outlives exec, so that a process inherits what its parent held.
    """
    here = psutil.Process()
    return sum(_peak_mb(process) for process in (here, *here.children(recursive=True)))


def _peak_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return process.memory_info().rss / 1e6
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6
