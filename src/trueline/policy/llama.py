"""The decoder for the Llama family (Llama, Mistral, Qwen2, Qwen3): the same numbers with a tenth of the calls.

For a small model on a CPU most of a decoding step is not arithmetic but the way to it: masks, module calls, a cache
that grows by copying. Here the cache is allocated once, queries, keys and values come from one product, gate and up
from another, and a step is some fifteen operations a layer.

Letters: B rows, L cache columns, N query heads, K key heads, D head size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

from trueline.policy.decoder import Next, read_prompts
from trueline.policy.load import Policy

FAMILY = ("llama", "mistral", "qwen2", "qwen3")


def serves(policy: Policy, longest: int) -> bool:
    """Whether this decoder gives what the model itself would, for sequences of up to `longest` tokens."""
    model, config = policy.model, policy.model.config
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return (
        getattr(config, "model_type", "") in FAMILY
        and hasattr(model, "lm_head")
        and not hasattr(model, "peft_config")
        and getattr(model.lm_head, "bias", None) is None
        and config.hidden_act == "silu"
        and not getattr(config, "mlp_bias", False)
        and config.rope_parameters.get("rope_type") == "default"
        and (not window or longest <= window)
        and type(model.model.layers[0].self_attn.q_proj) is torch.nn.Linear
    )


@dataclass(frozen=True)
class Layer:
    """Weights of one layer: qkv ((N + 2K) D, H), gate and up (2F, H)."""

    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    norm2: Tensor
    gate_up: Tensor
    down: Tensor
    q_norm: Tensor | None
    k_norm: Tensor | None

    @classmethod
    def of(cls, layer: Any) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        three = (attention.q_proj, attention.k_proj, attention.v_proj)
        return cls(
            layer.input_layernorm.weight,
            torch.cat([p.weight for p in three]),
            None if three[0].bias is None else torch.cat([p.bias for p in three]),
            attention.o_proj.weight,
            attention.o_proj.bias,
            layer.post_attention_layernorm.weight,
            torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            mlp.down_proj.weight,
            attention.q_norm.weight if hasattr(attention, "q_norm") else None,
            attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        )


class LlamaDecoder:
    """Keys and values: per layer (B, K, L, D), filled up to column `length`."""

    def __init__(self, policy: Policy, out: Any, mask: Tensor, k: int, room: int) -> None:
        config, model = policy.model.config, policy.model.model
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon = config.rms_norm_eps
        self.layers = [Layer.of(layer) for layer in model.layers]
        self.embedding, self.norm = model.embed_tokens.weight, model.norm.weight
        self.lm_head = policy.model.lm_head.weight
        self.length = mask.shape[1]
        total = self.length + room
        self.keys, self.values = self._cache(out.cache, k, total)
        self.cos, self.sin = model.rotary_emb(self.embedding[:1], torch.arange(total, device=mask.device)[None])
        self.position = mask.sum(-1).repeat_interleave(k, 0)
        # Left padding is never attended to; columns not written yet are cut off before they are read.
        rows = mask.repeat_interleave(k, 0)
        self.bias = torch.zeros((len(rows), 1, 1, total), dtype=self.embedding.dtype, device=mask.device)
        self.bias[:, 0, 0, : self.length].masked_fill_(~rows, float("-inf"))
        self.padded = not bool(mask.all())
        hidden = out.hidden_states[-1][:, -1] if out.hidden_states else None
        self.first: Next = (
            out.logits[:, -1].repeat_interleave(k, 0),
            None if hidden is None else hidden.repeat_interleave(k, 0),
        )

    @classmethod
    def start(cls, policy: Policy, prompts: Sequence[Sequence[int]], k: int, room: int, hidden: bool) -> LlamaDecoder:
        out, mask = read_prompts(policy, prompts, hidden)
        return cls(policy, out, mask, k, room)

    def step(self, token: Tensor) -> Next:
        x = self.embedding[token]
        cos, sin = self.cos[0, self.position, None], self.sin[0, self.position, None]
        for i, layer in enumerate(self.layers):
            x = x + self._attend(i, layer, rms_norm(x, x.shape[-1:], layer.norm, self.epsilon), cos, sin)
            gate, up = linear(rms_norm(x, x.shape[-1:], layer.norm2, self.epsilon), layer.gate_up).chunk(2, -1)
            x = x + linear(silu(gate) * up, layer.down)
        self.length += 1
        self.position = self.position + 1
        x = rms_norm(x, x.shape[-1:], self.norm, self.epsilon)
        return linear(x, self.lm_head), x

    def _attend(self, i: int, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, H) to (B, H); writes the new key and value into column `length`."""
        found = linear(x, layer.qkv, layer.qkv_bias).view(len(x), self.heads + 2 * self.kv_heads, self.size)
        turned, value = found[:, : -self.kv_heads], found[:, -self.kv_heads :]
        if layer.q_norm is not None:
            query, key = turned[:, : self.heads], turned[:, self.heads :]
            turned = torch.cat(
                [
                    rms_norm(query, query.shape[-1:], layer.q_norm, self.epsilon),
                    rms_norm(key, key.shape[-1:], layer.k_norm, self.epsilon),
                ],
                dim=1,
            )
        half = self.size // 2
        turned = turned * cos + torch.cat([-turned[..., half:], turned[..., :half]], -1) * sin
        self.keys[i][:, :, self.length] = turned[:, self.heads :]
        self.values[i][:, :, self.length] = value
        end = self.length + 1
        attended = scaled_dot_product_attention(
            turned[:, : self.heads].unsqueeze(2),
            self.keys[i][:, :, :end],
            self.values[i][:, :, :end],
            attn_mask=self.bias[..., :end] if self.padded else None,
            enable_gqa=self.heads != self.kv_heads,
        )
        return linear(attended.reshape(len(x), -1), layer.out, layer.out_bias)

    def keep(self, rows: Tensor) -> None:
        self.keys, self.values = [x[rows] for x in self.keys], [x[rows] for x in self.values]
        self.position, self.bias = self.position[rows], self.bias[rows]

    def _cache(self, cache: Any, k: int, total: int) -> tuple[list[Tensor], list[Tensor]]:
        """The prompts' keys and values, k times each, with room behind them."""
        both: list[list[Tensor]] = [[], []]
        for layer in cache.layers:
            for found, read in zip(both, (layer.keys, layer.values), strict=True):
                grown = read.new_empty((len(read) * k, self.kv_heads, total, self.size))
                grown[:, :, : self.length] = read.repeat_interleave(k, 0)
                found.append(grown)
        return both[0], both[1]
