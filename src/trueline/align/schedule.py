"""The learning rate of each step."""

from __future__ import annotations

import math

from trueline.config import AlignConfig


def learning_rate(step: int, config: AlignConfig) -> float:
    """Linear warm-up over `warmup` steps, then constant, linear to 0 or cosine to 0 at the last step."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    shape = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
    return config.learning_rate * shape[config.schedule]
