"""From a small network to a policy: the policy learns to say what the network says.

Rusu et al. 2015, "Policy distillation": minimise KL(teacher || student) on what the teacher meets while it plays.
Letters: N states, V vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import QNetAPI
from torch import Tensor

from trueline.engines.rllib.env import Observation, TokenEnv, TokenTask
from trueline.engines.rllib.networks import LanguageModel, Rows
from trueline.policy.load import Policy
from trueline.policy.randomness import generator

ANSWERS, PASSES, BATCH = 256, 8, 64


def distil(teacher: Any, policy: Policy, tokens: TokenTask, *, beta: float, temperature: float, rate: float) -> float:
    """Teach the policy in place; returns the mean KL(teacher || policy) of the last pass, nats a token.

    The student is taught without the mask, so that it learns what it must not produce.
    """
    seen = _played(teacher, tokens, beta)
    everything = {**seen, "action_mask": torch.ones_like(seen["action_mask"])}
    student = LanguageModel(policy, temperature)
    optimiser = torch.optim.AdamW(student.parameters(), lr=rate, eps=1e-5, weight_decay=0.0)
    n = len(seen["length"])
    total = 0.0
    for epoch in range(PASSES):
        total = 0.0
        for rows in torch.from_numpy(generator("distil", epoch).permutation(n)).split(BATCH):
            with torch.no_grad():
                wanted = teacher_logprobs(teacher, {k: x[rows] for k, x in seen.items()}, beta)
            said = torch.log_softmax(student({k: x[rows] for k, x in everything.items()})[1], -1)
            # A token of probability 0 counts as 0.
            loss = torch.where(wanted.isfinite(), wanted.exp() * (wanted - said), 0.0).sum(-1).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimiser.step()
            total += loss.item() * len(rows) / n
    return total


@torch.no_grad()
def teacher_logprobs(teacher: Any, seen: Rows, beta: float) -> Tensor:
    """(N, V): of a policy its own; of Q values those of softmax(Q / beta), their soft policy."""
    batch: Any = {Columns.OBS: seen}
    if isinstance(teacher, QNetAPI):
        worth: Any = teacher.compute_q_values(batch)[QF_PREDS]
        return torch.log_softmax(worth / beta, -1)
    return torch.log_softmax(teacher.forward_inference(batch)[Columns.ACTION_DIST_INPUTS], -1)


def _played(teacher: Any, tokens: TokenTask, beta: float) -> Rows:
    """All states of ANSWERS answers that the teacher gives."""
    task = replace(tokens, reward=lambda i, answer, finished: 0.0)
    playing = [(env, env.reset(seed=i)[0]) for i, env in enumerate(TokenEnv(task) for _ in range(ANSWERS))]
    met: list[Observation] = []
    draws = generator("distil", "draw")
    while playing:
        met += [seen for _, seen in playing]
        chances = teacher_logprobs(teacher, _rows([seen for _, seen in playing]), beta).double().exp().cumsum(-1)
        points = torch.from_numpy(draws.random((len(playing), 1))) * chances[:, -1:]
        chosen = torch.searchsorted(chances, points, right=True).clamp_(max=tokens.vocabulary - 1).squeeze(-1)
        stepped = [(env, *env.step(np.int64(token))) for (env, _), token in zip(playing, chosen.tolist(), strict=True)]
        playing = [(env, seen) for env, seen, _, done, _, _ in stepped if not done]
    return _rows(met)


def _rows(seen: list[Observation]) -> Rows:
    return {name: torch.from_numpy(np.stack([one[name] for one in seen])) for name in seen[0]}
