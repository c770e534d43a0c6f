"""TRL's RLOO on the stories task, in TRL's environment. Prints one line of JSON: reward and time of each step.

cd benchmarks && ../.venv-trl/bin/python -m peers.trl_reward MODEL_FOLDER --steps 80

Its defaults but for what the task sets: its learning rate of 1e-6 is for models a thousand times larger. Gradient
checkpointing is off, as in trl_step.py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from typing import Any

import sizes
import stories
import torch
import trl
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback


class Watch(TrainerCallback):
    """Mean reward and end of each step, in seconds since training began."""

    def __init__(self) -> None:
        self.started, self.rewards, self.seconds = 0.0, [], []

    def reward(self, completions: list[str], **_: Any) -> list[float]:
        found = [stories.reward(text) for text in completions]
        self.rewards.append(sum(found) / len(found))
        return found

    def on_train_begin(self, *args: Any, **objects: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, *args: Any, **objects: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=80)
    given = parser.parse_args()
    torch.set_num_threads(sizes.THREADS)
    watch = Watch()
    with tempfile.TemporaryDirectory() as out:
        trl.RLOOTrainer(
            model=given.folder,
            reward_funcs=watch.reward,
            args=trl.RLOOConfig(
                output_dir=out, max_steps=given.steps, use_cpu=True, bf16=False, gradient_checkpointing=False,
                per_device_train_batch_size=stories.PROMPTS_PER_STEP * stories.SAMPLES, num_generations=stories.SAMPLES,
                max_completion_length=stories.NEW_TOKENS, learning_rate=stories.LEARNING_RATE, beta=stories.KL,
                lr_scheduler_type="constant", temperature=1.0, report_to="none", save_strategy="no", disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{"prompt": text} for text in stories.PROMPTS]),
            processing_class=AutoTokenizer.from_pretrained(given.folder, padding_side="left"),
            callbacks=[watch],
        ).train()  # fmt: skip
    print(json.dumps({"engine": f"trl {trl.__version__}", "rewards": watch.rewards, "seconds": watch.seconds}))


if __name__ == "__main__":
    main()
