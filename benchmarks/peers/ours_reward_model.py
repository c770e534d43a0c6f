"""An epoch of Trueline's reward training on the same pairs. Prints one line of JSON like trl_reward_model.py.

cd benchmarks && ../.venv/bin/python -m peers.ours_reward_model real 0.9M --pairs 128
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pairs
import sizes
import torch
from transformers import PrinterCallback, TrainerCallback

import trueline
from trueline.config import TransformerConfig
from trueline.reward.judgements import Item
from trueline.reward.shared_prompts import can_join
from trueline.reward.transformer_training import Collator, RewardTrainer, settings_of


class Clock(TrainerCallback):
    """When training began and when each step ended, and the processor's time up to then."""

    def __init__(self) -> None:
        self.moments: list[tuple[float, float]] = []

    def on_train_begin(self, *args: Any, **objects: Any) -> None:
        self.moments.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, *args: Any, **objects: Any) -> None:
        self.moments.append((time.perf_counter(), time.process_time()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", choices=pairs.LENGTHS)
    parser.add_argument("model", choices=sizes.MODELS)
    parser.add_argument("--pairs", type=int, default=128)
    given = parser.parse_args()
    torch.set_num_threads(sizes.THREADS)
    found = pairs.pairs(given.lengths, given.model, given.pairs)
    tokens = [ids for pair in found for ids in reversed(pair)]
    unrated = np.full((2, 1), np.nan)
    items = [Item((2 * i, 2 * i + 1), unrated, np.array([2.0])) for i in range(len(found))]
    model, pad_id = pairs.model(given.model), pairs.tokenizer(given.model).pad_token_id
    join = can_join(model, [pair[::-1] for pair in found], pad_id)
    settings, clock = TransformerConfig(epochs=1, batch=pairs.BATCH), Clock()
    with tempfile.TemporaryDirectory() as out:
        trainer = RewardTrainer(
            texts=["" for _ in tokens],
            margin=0.0,
            ratings_share=0.0,
            model=model,
            args=settings_of(settings, len(items), Path(out), 0),
            train_dataset=items,
            data_collator=Collator(tokens, pad_id, join=join),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    seconds, cpu = (b - a for a, b in zip(clock.moments[0], clock.moments[-1], strict=True))
    rates = {"pairs_per_second": len(found) / seconds, "pairs_per_cpu_second": len(found) / cpu, "joined": join}
    print(json.dumps({"engine": f"trueline {trueline.__version__}", **rates}))


if __name__ == "__main__":
    main()
