"""The parts that RLlib's modules are made of: what reads the tokens so far.

Letters: B rows, L tokens, H features, V vocabulary, E size of a token's embedding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trueline.policy.load import Policy
from trueline.policy.logprobs import has_plain_head, trunk

EMBEDDING = 16
Rows = dict[str, Tensor]


def mask_logits(logits: Tensor, seen: Rows) -> Tensor:
    """(B, V) with -inf where the observation's mask has 0."""
    return logits.masked_fill(seen["action_mask"] == 0, -torch.inf)


class LanguageModel(nn.Module):
    """A causal language model on observations: of the last token so far, its hidden state (B, H) and what it says of
    the next one (B, V), logits over temperature; what is not allowed gets -inf.
    """

    def __init__(self, policy: Policy, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = policy.model, temperature
        self.plain = has_plain_head(policy.model)

    def forward(self, seen: Rows) -> tuple[Tensor, Tensor]:
        length = seen["length"].long().squeeze(-1)
        width = int(length.max())
        tokens = seen["tokens"][:, :width].long()
        inputs = {
            "input_ids": tokens,
            "attention_mask": (torch.arange(width, device=tokens.device) < length[:, None]).long(),
            "use_cache": False,
        }
        rows, last = torch.arange(len(tokens), device=tokens.device), length - 1
        if self.plain:
            hidden = trunk(self.model)(**inputs).last_hidden_state[rows, last]
            logits = self.model.get_output_embeddings()(hidden)
        else:
            out = self.model(**inputs, output_hidden_states=True)
            hidden, logits = out.hidden_states[-1][rows, last], out.logits[rows, last]
        return hidden.float(), mask_logits(logits.float() / self.temperature, seen)


class Embedded(nn.Module):
    """Tokens as learned vectors, side by side, before a network that takes one vector: (B, L) to (B, L * E)."""

    def __init__(self, vocabulary: int, network: Any) -> None:
        super().__init__()
        self.embedding, self.network = nn.Embedding(vocabulary, EMBEDDING), network

    def forward(self, batch: dict[str, Any]) -> Any:
        seen = batch["obs"]
        tokens = seen["tokens"].long()
        real = torch.arange(tokens.shape[1], device=tokens.device) < seen["length"]
        vectors = self.embedding(tokens) * real.unsqueeze(-1)
        return self.network({**batch, "obs": vectors.flatten(1)})
