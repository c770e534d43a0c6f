"""Neural reward models: pairs a second in training beside TRL, texts a second in scoring beside pipeline.

Runs of both take turns, and a figure is the median of its own, so that other work on the machine hits both alike.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pairs
import sizes
import torch
from peers import environments
from rows import Row, row
from transformers import pipeline

from trueline.records import Exchange, Prompt
from trueline.reward.backbone import Backbone, as_text
from trueline.reward.scoring import raw_scores

TURNS, TEXTS, SCORING_BATCH = 3, 96, 64
PAIRS = {("equal", "15M"): 64, ("equal", "0.9M"): 192, ("real", "15M"): 96, ("real", "0.9M"): 256}


def measure(turns: int = TURNS) -> Iterator[Row]:
    for lengths in pairs.LENGTHS:
        if lengths == "real" and not pairs.HARMLESS.exists():
            print(f"real lengths need {pairs.HARMLESS}; set TRUELINE_DATA to the folder that has it", file=sys.stderr)
            return
        for name in sizes.MODELS:
            yield _training(lengths, name, turns)
    for name in sizes.MODELS:
        yield _scoring(name, turns)


def _training(lengths: str, name: str, turns: int) -> Row:
    ours, theirs = [], []
    for _ in range(turns):
        arguments = (lengths, name, "--pairs", str(PAIRS[lengths, name]))
        ours.append(environments.ours("peers.ours_reward_model", *arguments)["pairs_per_second"])
        if (found := environments.trl("peers.trl_reward_model", *arguments)) is not None:
            theirs.append(found["pairs_per_second"])
    peer = statistics.median(theirs) if theirs else None
    title = f"reward training {name}, {lengths} lengths, pairs/s"
    return row(title, statistics.median(ours), peer, higher_is_better=True)


def _scoring(name: str, turns: int) -> Row:
    """Texts of real lengths, tokenised and scored; the pipeline gets them one by one."""
    torch.set_num_threads(sizes.THREADS)
    model, tokenizer = pairs.model(name), pairs.tokenizer(name)
    model.requires_grad_(False)
    ours = Backbone(model, tokenizer, pairs.MOST_TOKENS + 8)
    theirs: Any = pipeline("text-classification", model=model, tokenizer=tokenizer, function_to_apply="none", device=-1)
    sides = [side for pair in pairs.pairs("real", name, TEXTS // 2) for side in pair]
    exchanges = [Exchange.of(Prompt.from_user("w1"), " ".join(f"w{i}" for i in side)) for side in sides]
    texts = [as_text(tokenizer, e) for e in exchanges]
    seconds = _taking_turns(
        turns,
        lambda: raw_scores(ours, ours.encode(exchanges)[0], SCORING_BATCH),
        lambda: [theirs(text) for text in texts],
    )
    rates = [len(texts) / s for s in seconds]
    return row(f"reward scoring {name}, texts/s", rates[0], rates[1], higher_is_better=True)


def _taking_turns(turns: int, *works: Callable[[], object]) -> list[float]:
    """Median seconds of each, after one run that does not count."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 1):
        for work, found in zip(works, taken, strict=True):
            started = time.perf_counter()
            work()
            if turn:
                found.append(time.perf_counter() - started)
    return [statistics.median(found) for found in taken]


if __name__ == "__main__":
    from rows import show

    show(list(measure()))
