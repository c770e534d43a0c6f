"""Trueline's RLOO on the stories task, with checkpoints and journal. Prints one line of JSON like trl_reward.py.

cd benchmarks && ../.venv/bin/python -m peers.ours_reward MODEL_FOLDER --steps 80
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sizes
import stories

import trueline
from trueline.align.judgement import Judgement
from trueline.align.trainer import AlignTask, align
from trueline.config import AlignConfig, Config, KLConfig, PolicyConfig
from trueline.records import Exchange, Prompt


def judge(exchanges: Sequence[Exchange]) -> Judgement:
    rewards = np.array([stories.reward(e.completion.text) for e in exchanges])
    return Judgement(rewards, {"reward": float(rewards.mean()), "eos_share": 0.0})


def task(folder: str, steps: int) -> AlignTask:
    config = Config(
        policy=PolicyConfig(max_new_tokens=stories.NEW_TOKENS, temperature=1.0),
        align=AlignConfig(
            algorithm="rloo",
            steps=steps,
            prompts_per_step=stories.PROMPTS_PER_STEP,
            samples_per_prompt=stories.SAMPLES,
            learning_rate=stories.LEARNING_RATE,
            workers=sizes.THREADS,
            kl=KLConfig(coefficient=stories.KL),
        ),
    )
    return AlignTask(folder, folder, [Prompt.from_user(text) for text in stories.PROMPTS], judge, config, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=80)
    given = parser.parse_args()
    rewards: list[float] = []
    seconds: list[float] = []
    started = time.perf_counter()

    def on_step(row: dict[str, Any]) -> None:
        rewards.append(row["reward"])
        seconds.append(time.perf_counter() - started)

    with tempfile.TemporaryDirectory() as out:
        align(task(given.folder, given.steps), Path(out) / "run", on_step)
    print(json.dumps({"engine": f"trueline {trueline.__version__}", "rewards": rewards, "seconds": seconds}))


if __name__ == "__main__":
    main()
