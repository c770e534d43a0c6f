"""`make bench`: Trueline beside its peers on the same work, in one run; appends rows to benchmarks/results.json.

A row: {"name", "ours", "peer", "ratio", "floor_ratio", "machine", "commit"}. Units are in the name; ratio is how many
times better ours is; peer and floor are null where there is none. Each figure is a median of 3.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 64, 16, 48


def machine() -> str:
    return f"{platform.machine()}, {psutil.cpu_count(logical=False) or psutil.cpu_count()} cores"


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def row(name: str, ours: float, peer: float | None = None, *, higher_is_better: bool) -> dict[str, Any]:
    ratio = None if peer is None else ours / peer if higher_is_better else peer / ours
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": None if peer is None else round(peer, 3),
        "ratio": None if ratio is None else round(ratio, 2),
        "floor_ratio": None,
        "machine": machine(),
        "commit": commit(),
    }


def median_seconds(work: Callable[[], object], times: int = 3) -> float:
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def quickstart() -> list[dict[str, Any]]:
    """Seconds and peak memory of the quickstart's job, without installation."""
    with tempfile.TemporaryDirectory() as folder:
        started, peak = time.monotonic(), 0
        process = subprocess.Popen(
            [sys.executable, "-m", "trueline", "quickstart", "--out", f"{folder}/q"], stdout=subprocess.DEVNULL
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.2)
        if process.wait():
            sys.exit("the quickstart failed; run `trueline quickstart` to see why")
        seconds = time.monotonic() - started
    return [
        row("quickstart, seconds", seconds, higher_is_better=False),
        row("quickstart, peak MB", peak / 1e6, higher_is_better=False),
    ]


def sampler() -> list[dict[str, Any]]:
    """New tokens a second of our sampler and of Hugging Face generate, random weights, no end token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from trueline.policy.load import Policy
    from trueline.policy.sampler import sample

    class NoEnd:
        eos_token_id, pad_token_id = None, 0

    sizes = {
        "15M": {"vocab_size": 32000, "hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6, "heads": 6},
        "0.9M": {"vocab_size": 1024, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "heads": 4},
    }
    found = []
    for name, size in sizes.items():
        heads = size.pop("heads")
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(**size, num_attention_heads=heads, num_key_value_heads=heads, tie_word_embeddings=True)
        ).eval()
        model.generation_config.eos_token_id = None
        ids = torch.randint(5, size["vocab_size"], (PROMPTS, PROMPT_TOKENS))
        policy = Policy(model, NoEnd(), name)
        keys = [[("bench", i)] for i in range(PROMPTS)]
        work = PROMPTS * NEW_TOKENS
        prompts = ids.tolist()
        ours = median_seconds(partial(sample, policy, prompts, keys, max_new_tokens=NEW_TOKENS, temperature=1.0))
        theirs = median_seconds(
            partial(
                model.generate,
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                do_sample=True,
                top_k=0,
                pad_token_id=0,
            )
        )
        found.append(row(f"sampler {name}, tokens/s", work / ours, work / theirs, higher_is_better=True))
    return found


def main() -> None:
    target = HERE / "results.json"
    rows = json.loads(target.read_text()) if target.exists() else []
    for part in (sampler, quickstart):
        for found in part():
            print(json.dumps(found), flush=True)
            rows.append(found)
    target.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
