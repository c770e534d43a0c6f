"""An epoch of TRL's RewardTrainer on the pairs of pairs.py, in TRL's environment. Prints one line of JSON.

    cd benchmarks && ../.venv-trl/bin/python -m peers.trl_reward_model real 0.9M --pairs 128

TRL as its users run it on a CPU: its own defaults (gradient checkpointing is one) but for the batch, which is ours, and
`use_cpu=True, bf16=False`. The token ids are given, so that both read the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from typing import Any

import pairs
import sizes
import torch
import trl
from datasets import Dataset
from transformers import TrainerCallback


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
    parser.add_argument("--no-checkpointing", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(sizes.THREADS)
    rows = [{"chosen_ids": a, "rejected_ids": b} for a, b in pairs.pairs(given.lengths, given.model, given.pairs)]
    more = {"gradient_checkpointing": False} if given.no_checkpointing else {}
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        trl.RewardTrainer(
            model=pairs.model(given.model),
            args=trl.RewardConfig(
                output_dir=out, num_train_epochs=1, per_device_train_batch_size=pairs.BATCH, use_cpu=True, bf16=False,
                report_to="none", save_strategy="no", disable_tqdm=True, **more,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=pairs.tokenizer(given.model),
            callbacks=[clock],
        ).train()  # fmt: skip
    seconds, cpu = (b - a for a, b in zip(clock.moments[0], clock.moments[-1], strict=True))
    rates = {"pairs_per_second": len(rows) / seconds, "pairs_per_cpu_second": len(rows) / cpu}
    print(json.dumps({"engine": f"trl {trl.__version__}", **rates}))


if __name__ == "__main__":
    main()
