"""The weight of the KL to the reference: fixed, or adapted to hold a target."""

from __future__ import annotations

from trueline.config import KLConfig


def next_coefficient(coefficient: float, kl: float, answers: int, config: KLConfig) -> float:
    """The coefficient after a step with mean KL `kl` (nats per answer) over `answers` answers.

    Ziegler et al. 2019, "Fine-tuning language models from human preferences": proportional control in log space
    with the relative error held within 0.2. A target of 0 keeps the coefficient as it is.
    """
    if config.target == 0:
        return coefficient
    error = min(max(kl / config.target - 1, -0.2), 0.2)
    return coefficient * (1 + error * answers / config.horizon)
