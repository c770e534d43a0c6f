"""RLlib modules that give the next token's probabilities, and what the state is worth: for PPO, APPO and IMPALA.

Letters: B rows, H features, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.appo.torch.default_appo_torch_rl_module import DefaultAPPOTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import (
    TARGET_NETWORK_ACTION_DIST_INPUTS,
    InferenceOnlyAPI,
    TargetNetworkAPI,
    ValueFunctionAPI,
)
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from trueline.engines.rllib.networks import EMBEDDING, Embedded, LanguageModel, mask_logits
from trueline.policy.heads import new_head
from trueline.policy.load import load_policy

Batch = dict[str, Any]


def language_model(settings: Any) -> LanguageModel:
    """The policy that the module's settings name; fp32, since RLlib turns weights into numpy arrays, which know no
    bf16."""
    policy = load_policy(settings["policy"], trust_remote_code=settings["trust_remote_code"], device="cpu")
    return LanguageModel(policy, settings["temperature"])


def value_head(network: LanguageModel) -> torch.nn.Module:
    config = network.model.config.get_text_config()
    return new_head("value", config.hidden_size, config.vocab_size, torch.device("cpu"))


def flat_space(space: gym.Space) -> gym.spaces.Box:
    """What `Embedded` makes of an observation, for RLlib's own networks to be built for."""
    assert isinstance(space, gym.spaces.Dict)
    tokens = space["tokens"].shape
    assert tokens is not None
    return gym.spaces.Box(-np.inf, np.inf, (tokens[0] * EMBEDDING,), np.float32)


def vocabulary(space: gym.Space | None) -> int:
    assert isinstance(space, gym.spaces.Discrete)
    return int(space.n)


class PolicyModule(TorchRLModule, ValueFunctionAPI, TargetNetworkAPI, InferenceOnlyAPI):
    """The project's policy with a value head on its trunk, which starts at zero. Each row is read whole, without a
    cache, since RLlib learns from single tokens."""

    def setup(self) -> None:
        self.network = language_model(self.model_config)
        self.vf = value_head(self.network)
        self.action_dist_cls = TorchCategorical

    def get_non_inference_attributes(self) -> list[str]:
        return ["vf", "_old_network"]

    def _forward(self, batch: Batch, **options: Any) -> Batch:
        return {Columns.ACTION_DIST_INPUTS: self.network(batch[Columns.OBS])[1]}

    def _forward_train(self, batch: Batch, **options: Any) -> Batch:
        hidden, logits = self.network(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: logits, Columns.EMBEDDINGS: hidden}

    def compute_values(self, batch: Batch, embeddings: Tensor | None = None) -> Tensor:
        """(B,). Without embeddings RLlib asks for the whole batch, to estimate advantages, and no gradient is kept."""
        if embeddings is not None:
            return self.vf(embeddings).squeeze(-1)
        with torch.no_grad():
            parts = [self.network(rows)[0] for rows in _parts(batch[Columns.OBS])]
            return self.vf(torch.cat(parts)).squeeze(-1)

    def make_target_networks(self) -> None:
        self._old_network = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.network, self._old_network)]

    def forward_target(self, batch: Batch) -> Batch:
        return {TARGET_NETWORK_ACTION_DIST_INPUTS: self._old_network(batch[Columns.OBS])[1]}


class SmallModule(DefaultAPPOTorchRLModule):
    """RLlib's default network (fcnet_hiddens) behind an embedding of the tokens, with the mask. PPO and IMPALA use it
    without the target network, which only APPO makes."""

    def __init__(self, *, observation_space: gym.Space, **options: Any) -> None:
        super().__init__(observation_space=flat_space(observation_space), **options)
        self.observation_space = observation_space

    def setup(self) -> None:
        super().setup()
        self.encoder = Embedded(vocabulary(self.action_space), self.encoder)

    def get_non_inference_attributes(self) -> list[str]:
        return ["vf", "encoder.network.critic_encoder", "_old_encoder", "_old_pi"]

    def _forward(self, batch: Batch, **options: Any) -> Batch:
        return self._masked(super()._forward(batch, **options), batch)

    def _forward_train(self, batch: Batch, **options: Any) -> Batch:
        return self._masked(super()._forward_train(batch, **options), batch)

    def compute_values(self, batch: Batch, embeddings: Tensor | None = None) -> Any:
        with torch.set_grad_enabled(embeddings is not None):
            return super().compute_values(batch, embeddings)

    def forward_target(self, batch: Batch) -> Batch:
        out = super().forward_target(batch)
        return {name: mask_logits(x, batch[Columns.OBS]) for name, x in out.items()}

    def _masked(self, out: Batch, batch: Batch) -> Batch:
        logits = mask_logits(out[Columns.ACTION_DIST_INPUTS], batch[Columns.OBS])
        return {**out, Columns.ACTION_DIST_INPUTS: logits}


def _parts(seen: dict[str, Tensor], size: int = 256) -> list[dict[str, Tensor]]:
    """An observation's rows, so many at once."""
    return [{k: x[i : i + size] for k, x in seen.items()} for i in range(0, len(seen["length"]), size)]
