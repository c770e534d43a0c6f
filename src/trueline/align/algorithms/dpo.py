"""DPO: from pairs of answers to the policy, without a reward model and without sampling.

Rafailov et al. 2023, "Direct preference optimization: your language model is secretly a reward model":
    L = -mean over pairs of log sigmoid(beta * m),   m = log(pi(better) / ref(better)) - log(pi(worse) / ref(worse))
label_smoothing: the share e of labels taken to be wrong, (1 - e) L(m) + e L(-m) (Mitchell 2023).

The two answers of a pair are rows of their own, so that a batch can be cut anywhere: each moves its own answer, and
holds the log-ratio of the other, its rival, where it stood before the step. Their gradients add up to the pair's.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trueline.align.advantages import leave_one_out
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Advantages (B, T): an answer's label less its rival's; rival (B,): the rival's log(pi / ref)."""
    own = torch.where(rollout.mask, rollout.logprobs - rollout.ref_logprobs, 0.0).sum(-1)
    better = leave_one_out(rollout.scores, rollout.group)
    return replace(
        rollout,
        advantages=better.unsqueeze(-1).expand_as(rollout.logprobs),
        rival=own - leave_one_out(own, rollout.group),
    )


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """The sum over both rows of each pair, divided by the global batch's pairs."""
    assert rollout.advantages is not None and rollout.rival is not None
    own = torch.where(rollout.mask, outputs.logprobs - rollout.ref_logprobs, 0.0).sum(-1)
    margin = rollout.kl_coef * rollout.advantages[:, 0].sign() * (own - rollout.rival)
    wrong = config.dpo.label_smoothing
    rows = -(1 - wrong) * logsigmoid(margin) - wrong * logsigmoid(-margin)
    metrics = {
        "policy_loss": rows.sum().item() / rollout.answers,
        "margin": margin.sum().item() / rollout.answers,
        "pair_accuracy": (margin > 0).sum().item() / rollout.answers,
    }
    return rows.sum() / (rollout.answers / 2), metrics


ALGORITHM = Algorithm("dpo", prepare, loss, learns_from="pairs")
