"""The KL to the reference, taken off the reward of each token before RLlib learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from trueline.policy.load import Policy
from trueline.policy.scoring import make_batch, score

AT_ONCE = 64
TOKEN_KL = "token_kl"


class KLPenalty(ConnectorV2):
    """Where the module draws tokens by their probability (PPO, APPO, IMPALA), a token's reward gets

        - beta * (log pi(a|s) - log ref(a|s)),

    with the pi that drew it, so that the return is the objective that `trueline.align` maximises: E[reward] less beta
    times the KL. An entropy bonus with beta as its weight, and beta log ref as a reward, would not be the same: RLlib's
    bonus counts the entropy of the state alone and not that of the states which follow.

    Where it picks the token of the highest worth (DQN), it gets beta * log ref(a|s), which is the same for a policy
    that is certain.
    """

    def __init__(self, reference: Policy, beta: float, temperature: float, *, sampled: bool) -> None:
        super().__init__()
        self.reference, self.beta, self.temperature, self.sampled = reference, beta, temperature, sampled

    def __call__(
        self, *, rl_module: Any, batch: Any, episodes: list[Any], shared_data: Any = None, metrics: Any = None, **_: Any
    ) -> Any:
        # PPO and its kin add a step to each episode, for the value of what comes behind it.
        added = int(bool((shared_data or {}).get("_added_loss_mask_for_valid_episode_ts")))
        gaps = self.gaps(episodes, added)
        # Copies: a local runner adds up the rewards of its episodes after it has given them away.
        episodes[:] = [_less(e, self.beta * gap) for e, gap in zip(episodes, gaps, strict=True)]
        if self.sampled and metrics is not None:
            metrics.log_value((DEFAULT_MODULE_ID, TOKEN_KL), float(np.concatenate(gaps).mean()), window=1)
        return batch

    def gaps(self, episodes: Sequence[Any], added: int) -> list[np.ndarray]:
        """Of each token of each episode, without `added` steps at its end: log pi - log ref, nats; where tokens are not
        sampled, - log ref."""
        sizes = [len(e) - added for e in episodes]
        answers = [np.asarray(e.get_actions(slice(0, n))).tolist() for e, n in zip(episodes, sizes, strict=True)]
        found = [-x for x in self._reference_logprobs([_so_far(e) for e in episodes], answers)]
        if self.sampled:
            for gap, episode, n in zip(found, episodes, sizes, strict=True):
                gap += np.asarray(episode.get_extra_model_outputs(Columns.ACTION_LOGP, slice(0, n)))
        return found

    @torch.no_grad()
    def _reference_logprobs(self, prompts: list[list[int]], answers: list[list[int]]) -> list[np.ndarray]:
        found = []
        for i in range(0, len(prompts), AT_ONCE):
            part = slice(i, i + AT_ONCE)
            batch = make_batch(prompts[part], answers[part], self.reference.pad_id).to(self.reference.device)
            logprobs = score(self.reference.model, batch, self.temperature).logprobs.cpu().numpy()
            found += [row[: len(answer)].copy() for row, answer in zip(logprobs, answers[part], strict=True)]
        return found


def _so_far(episode: Any) -> list[int]:
    """The tokens in front of an episode, or of a piece of one."""
    seen = episode.get_observations(0)
    return list(map(int, seen["tokens"][: int(seen["length"][0])]))


def _less(episode: Any, cost: np.ndarray) -> Any:
    """A copy whose first rewards are less by so much; it shares everything else."""
    other = copy(episode)
    other.rewards = deepcopy(episode.rewards)
    first = slice(0, len(cost))
    rewards = np.asarray(episode.get_rewards(first)) - cost
    other.set_rewards(new_data=rewards if other.is_numpy else rewards.tolist(), at_indices=first)
    return other
