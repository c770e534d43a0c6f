"""The model that is trained: the policy and, where an algorithm needs it, a value head on its trunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trueline.align.algorithms.base import Outputs
from trueline.policy.load import Policy
from trueline.policy.scoring import Batch, score


@dataclass(frozen=True)
class Actor:
    """`value_head` maps a hidden state (H,) to the expected reward from here on; it starts at zero."""

    policy: Policy
    value_head: nn.Linear | None

    @classmethod
    def new(cls, policy: Policy, heads: Sequence[str]) -> Actor:
        head = None
        if "value" in heads:
            head = nn.Linear(policy.model.config.get_text_config().hidden_size, 1, device=policy.device)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        return cls(policy, head)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Each weight once, in a stable order."""
        yield from self.policy_parameters()
        if self.value_head is not None:
            for name, parameter in self.value_head.named_parameters():
                yield f"value_head.{name}", parameter

    def policy_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.policy.model.named_parameters():
            yield f"policy.{name}", parameter

    def __call__(self, batch: Batch, temperature: float) -> tuple[Outputs, Tensor]:
        """Outputs of one forward pass of policy and value together, and the entropy (B, T)."""
        scored = score(self.policy.model, batch, temperature, with_hidden=self.value_head is not None)
        values = None
        if self.value_head is not None:
            assert scored.hidden is not None
            values = self.value_head(scored.hidden.to(self.value_head.weight.dtype)).squeeze(-1).float()
        return Outputs(scored.logprobs, values), scored.entropy

    def optimiser(self, learning_rate: float) -> torch.optim.AdamW:
        """AdamW with eps 1e-5 (Huang et al. 2024) and no weight decay."""
        parameters = [p for _, p in self.named_parameters()]
        return torch.optim.AdamW(parameters, lr=learning_rate, eps=1e-5, weight_decay=0.0)
