"""The model that is trained: the policy and, where an algorithm needs them, heads on its trunk.

Letters: B answers, T answer tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trueline.align.algorithms.base import Outputs
from trueline.policy.heads import new_head, q_shape
from trueline.policy.load import Policy
from trueline.policy.scoring import Batch, score

TWINS = ("q1", "q2")


@dataclass(frozen=True)
class Actor:
    """heads: by name, `value` and the twins `q1` and `q2`; targets: the slow copies of some of them."""

    policy: Policy
    heads: nn.ModuleDict
    targets: nn.ModuleDict

    @classmethod
    def new(cls, policy: Policy, heads: Sequence[str] = (), targets: Sequence[str] = ()) -> Actor:
        """New heads; those that the policy came with no longer shape its answers, since its weights will move."""
        config = policy.model.config.get_text_config()
        made = {name: new_head(name, config.hidden_size, config.vocab_size, policy.device) for name in heads}
        slow = {name: deepcopy(made[name]).requires_grad_(False) for name in targets}
        return cls(replace(policy, shape=None), nn.ModuleDict(made), nn.ModuleDict(slow))

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Each weight that is trained, once, in a stable order."""
        yield from self.policy_parameters()
        yield from self.heads.named_parameters("heads")

    def policy_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.policy.model.named_parameters():
            if parameter.requires_grad:
                yield f"policy.{name}", parameter

    def drawn_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What answers are drawn from: the policy's trained weights, and the slow copies that may shape them."""
        yield from self.policy_parameters()
        yield from self.targets.named_parameters("targets")

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What a checkpoint holds: the slow copies too."""
        yield from self.named_parameters()
        yield from self.targets.named_parameters("targets")

    def __call__(self, batch: Batch, temperature: float) -> tuple[Outputs, Tensor]:
        """Outputs of one forward pass of policy and heads together, and the entropy (B, T)."""
        scored = score(self.policy.model, batch, temperature, with_hidden=len(self.heads) > 0)
        outputs = Outputs(scored.logprobs)
        if scored.hidden is not None:
            hidden = scored.hidden.float()
            outputs = self._with_values(outputs, hidden)
            if TWINS[0] in self.heads:
                outputs = self._with_q(outputs, hidden, batch.chosen)
        return outputs, scored.entropy

    def _with_values(self, outputs: Outputs, hidden: Tensor) -> Outputs:
        slow = self.targets["value"](hidden).squeeze(-1) if "value" in self.targets else None
        return replace(outputs, values=self.heads["value"](hidden).squeeze(-1), target_values=slow)

    def _with_q(self, outputs: Outputs, hidden: Tensor, taken: Tensor) -> Outputs:
        """hidden (B, T, H), the tokens taken (B, T) long; the (B, T, V) of each head is reduced at once."""
        index = taken.unsqueeze(-1)
        chosen, over_all = [], []
        for name in TWINS:
            q = self.heads[name](hidden)
            chosen.append(q.gather(-1, index).squeeze(-1))
            over_all.append(q.logsumexp(-1))
        with torch.no_grad():
            slow = [self.targets[name](hidden).gather(-1, index).squeeze(-1) for name in TWINS]
        return replace(outputs, q=torch.stack(chosen), q_logsumexp=torch.stack(over_all), target_q=torch.minimum(*slow))

    def drawing(self, beta: float | None) -> Policy:
        """The policy that answers are drawn from: with beta, shaped by the slow Q heads."""
        if beta is None:
            return self.policy
        return replace(self.policy, shape=q_shape(dict(self.targets.named_parameters()), beta))

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Polyak averaging: each slow copy goes a share of the way to its head."""
        for name, slow in self.targets.items():
            for old, new in zip(slow.parameters(), self.heads[name].parameters(), strict=True):
                old.lerp_(new, rate)

    def optimiser(self, learning_rate: float) -> torch.optim.AdamW:
        """AdamW with eps 1e-5 (Huang et al. 2024) and no weight decay."""
        parameters = [p for _, p in self.named_parameters()]
        return torch.optim.AdamW(parameters, lr=learning_rate, eps=1e-5, weight_decay=0.0)
