"""RLlib modules that give the worth of each next token, for DQN.

Letters: B rows, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical

from trueline.engines.rllib.modules import Batch, flat_space, language_model, value_head, vocabulary
from trueline.engines.rllib.networks import Embedded, mask_logits


class SmallQModule(DefaultDQNTorchRLModule):
    """RLlib's default Q network (fcnet_hiddens) behind an embedding of the tokens; -inf where a token is not allowed,
    which RLlib's epsilon-greedy exploration leaves out, too."""

    def __init__(self, *, observation_space: gym.Space, **options: Any) -> None:
        super().__init__(observation_space=flat_space(observation_space), **options)
        self.observation_space = observation_space

    def setup(self) -> None:
        super().setup()
        self.encoder = Embedded(vocabulary(self.action_space), self.encoder)

    def _qf_forward_helper(self, batch: Batch, encoder: Any, head: Any) -> Batch:
        out: Batch = super()._qf_forward_helper(batch, encoder, head)
        return {**out, QF_PREDS: mask_logits(out[QF_PREDS], batch[Columns.OBS])}


class PolicyQModule(DefaultDQNTorchRLModule):
    """The project's policy as a Q function: Q(s, a) = V(s) + beta log pi(a|s), (B, V).

    That is what Q is where pi is best for reward less beta times the KL (Nachum et al. 2017, "Bridging the gap between
    value and policy based reinforcement learning", eq. 8). So it starts as the policy that it is given, explores by
    drawing from it, and pi is the policy that comes out.
    """

    def __init__(self, *, observation_space: gym.Space, **options: Any) -> None:
        super().__init__(observation_space=flat_space(observation_space), **options)
        self.observation_space = observation_space

    def setup(self) -> None:
        self.uses_dueling, self.uses_double_q, self.num_atoms = True, True, 1
        settings: Any = self.model_config
        self.beta: float = settings["beta"]
        self.encoder = language_model(settings)
        self.vf = value_head(self.encoder)
        self.af = torch.nn.Identity()
        self.action_dist_cls = TorchCategorical

    def _qf_forward_helper(self, batch: Batch, encoder: Any, head: Any) -> Batch:
        hidden, logits = encoder(batch[Columns.OBS])
        return {QF_PREDS: head["vf"](hidden) + self.beta * torch.log_softmax(logits, -1)}

    def _forward_exploration(self, batch: Batch, t: int = 0, **options: Any) -> Batch:
        with torch.no_grad():
            logits = self.encoder(batch[Columns.OBS])[1]
        return {Columns.ACTIONS: TorchCategorical.from_logits(logits).sample()}
