"""Seconds until RLOO reaches a mean reward: what TRL's trainer reaches at the end of its run is the target for both.

Both have the same model, prompts, answers a step, learning rate and KL weight. A reward counts as reached when the mean
of the last 5 steps is there; seconds run from the start of training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import stories
from peers import environments
from rows import Row, row

WINDOW, LAST = 5, 10


def reached(rewards: Sequence[float], seconds: Sequence[float], target: float) -> float | None:
    """The moment at which the moving average is at the target."""
    for i in range(WINDOW, len(rewards) + 1):
        if sum(rewards[i - WINDOW : i]) / WINDOW >= target:
            return seconds[i - 1]
    return None


def measure(steps: int = 80) -> Iterator[Row]:
    folder = stories.model_folder()
    if not folder.exists():
        print(f"time to reward needs the model {folder}; set TRUELINE_DATA to the folder that has it", file=sys.stderr)
        return
    theirs = environments.trl("peers.trl_reward", str(folder), "--steps", str(steps))
    if theirs is None:
        return
    target = sum(theirs["rewards"][-LAST:]) / LAST
    # Ours may take longer; twice the steps is where it counts as not reached.
    ours = environments.ours("peers.ours_reward", str(folder), "--steps", str(2 * steps))
    found = [reached(run["rewards"], run["seconds"], target) for run in (ours, theirs)]
    if found[0] is None:
        print(f"time to reward: {target:.2f} was not reached in {2 * steps} steps", file=sys.stderr)
        return
    start = sum(theirs["rewards"][:WINDOW]) / WINDOW
    yield row(f"RLOO from reward {start:.2f} to {target:.2f}, seconds", found[0], found[1])
