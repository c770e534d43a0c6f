"""What was learned, as an ordinary policy."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from trueline.policy.load import Policy

NETWORKS = ("network.model.", "encoder.model.")


def learned_policy(algorithm: Any, policy: Policy) -> Policy:
    """`policy` with the weights of a module that is built on it (`PolicyModule`, `PolicyQModule`).

    The module's mask is no part of them: a token that could not be produced keeps what probability the model gives it.
    """
    weights = algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]
    own = {
        name.removeprefix(prefix): torch.from_numpy(value)
        for prefix in NETWORKS
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    policy.model.load_state_dict(own)
    return policy
