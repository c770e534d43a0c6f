"""Seconds and peak memory of a step of reinforcement learning: ours beside TRL's, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import floor
import sizes
from peers import environments
from rows import Row, row


def measure(steps: int = 6) -> Iterator[Row]:
    for name in sizes.MODELS:
        for algorithm in sizes.ALGORITHMS:
            arguments = (algorithm, name, "--steps", str(steps))
            ours = environments.ours("peers.ours_step", *arguments)
            theirs = environments.trl("peers.trl_step", *arguments, ppo=algorithm == "ppo")
            peer = partial((theirs or {}).get)
            least = floor.seconds(floor.step, name, algorithm)
            title = f"{algorithm.upper()} step {name}"
            yield row(f"{title}, seconds", ours["seconds_per_step"], peer("seconds_per_step"), least)
            yield row(f"{title}, peak MB", ours["peak_mb"], peer("peak_mb"))
