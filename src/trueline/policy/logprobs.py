"""Log-probabilities of chosen tokens from hidden states, with the vocabulary computed once and only where it is needed.

The step from hidden states to the vocabulary is most of a small model's arithmetic and nearly all of its memory. Plain
autograd keeps three to four arrays of (tokens, vocabulary); here it is one, which turns from logits into probabilities
and in the backward pass into the gradient, in place.

Letters: N tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

ROWS = 256
_PLAIN: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = hidden @ weight.T
        if probabilities.dtype in (torch.bfloat16, torch.float16):
            probabilities = probabilities.float()
        logprobs, entropy = probabilities.new_empty(len(chosen)), probabilities.new_empty(len(chosen))
        for start in range(0, len(chosen), ROWS):
            part = slice(start, start + ROWS)
            x = probabilities[part]
            x -= x.amax(-1, keepdim=True)
            picked = x.gather(-1, chosen[part, None]).squeeze(-1)
            shifted = x.clone()
            total = x.exp_().sum(-1, keepdim=True)
            x /= total
            normaliser = total.squeeze(-1).log()
            logprobs[part] = picked - normaliser
            # A token of probability 0 has a logit of -inf; 0 * -inf counts as 0.
            entropy[part] = normaliser - torch.einsum("nv,nv->n", x, shifted.clamp_(min=-1e30))
        ctx.save_for_backward(hidden, weight, chosen)
        ctx.probabilities = probabilities
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """d log p_chosen / d logit_v = [v = chosen] - p_v."""
        hidden, weight, chosen = ctx.saved_tensors
        flow = ctx.probabilities
        del ctx.probabilities
        flow.mul_(-gradient.unsqueeze(-1)).scatter_add_(-1, chosen.unsqueeze(-1), gradient.unsqueeze(-1))
        flow = flow.to(weight.dtype)
        to_hidden = flow @ weight if ctx.needs_input_grad[0] else None
        to_weight = flow.T @ hidden if ctx.needs_input_grad[1] else None
        return to_hidden, to_weight, None


def token_logprobs(hidden: Tensor, weight: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """(N, H) hidden, (V, H) head and (N,) ids to (N,) log softmax(hidden @ head^T)[chosen] and (N,) entropies, nats.

    The log-probabilities carry gradients, once; the entropies do not.
    """
    found: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden, weight, chosen)
    return found


def trunk(model: Any) -> Any:
    """The model without its head; within a model that peft has wrapped, adapters included."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def has_plain_head(model: Any) -> bool:
    """Whether the model's logits are just its trunk's last hidden states times its head, found by trying it once."""
    if model not in _PLAIN:
        _PLAIN[model] = _try_plain_head(model)
    return _PLAIN[model]


@torch.no_grad()
def _try_plain_head(model: Any) -> bool:
    head = model.get_output_embeddings()
    if trunk(model) is model or type(head) is not torch.nn.Linear or head.bias is not None:
        return False
    ids = torch.arange(2, device=head.weight.device).unsqueeze(0)
    logits = model(input_ids=ids, use_cache=False).logits
    hidden = trunk(model)(input_ids=ids, use_cache=False).last_hidden_state
    return bool(torch.allclose(logits, (hidden @ head.weight.T).to(logits.dtype), atol=1e-4, rtol=1e-4))
