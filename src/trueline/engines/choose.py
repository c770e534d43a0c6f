"""The engine that a run's settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trueline.align.journal import Row
from trueline.align.trainer import AlignTask, align
from trueline.errors import InputError


def run(task: AlignTask, folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train until the run is done; returns the policy's folder. Started again, each engine goes on where it stood."""
    engine = task.config.align.engine
    if task.config.align.ray.shard and engine != "ray":
        raise InputError(
            f"align.ray.shard: the engine {engine} keeps a model whole in each process; set align.engine to ray, or "
            "align.ray.shard to false"
        )
    if engine == "ray":
        from trueline.engines.ray.engine import run as run_on_ray

        return run_on_ray(task, folder, on_step)
    if engine == "rllib":
        from trueline.engines.rllib.engine import run as run_in_rllib

        return run_in_rllib(task, folder, on_step)
    return align(task, folder, on_step)
