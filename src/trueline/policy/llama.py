"""The decoder for the Llama family (Llama, Mistral, Qwen2, Qwen3): the same numbers with a tenth of the calls.

For a small model on a CPU most of a decoding step is not arithmetic but the way to it: masks, module calls, a cache
that grows by copying. Here the cache is allocated once, queries, keys and values come from one product, gate and up
from another, and a step is some twenty operations a layer. An answer is a column of the hidden states, (H, B): a few
columns behind a large matrix are multiplied up to twice as fast as a few rows before its transpose.

Letters: B answers, L cache columns, N query heads, K key heads, D head size, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

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
    """Weights of one layer: qkv ((N + 2K) D, H), gate and up (2F, H); norms and biases are columns."""

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
            layer.input_layernorm.weight[:, None],
            torch.cat([p.weight for p in three]),
            None if three[0].bias is None else torch.cat([p.bias for p in three])[:, None],
            attention.o_proj.weight,
            None if attention.o_proj.bias is None else attention.o_proj.bias[:, None],
            layer.post_attention_layernorm.weight[:, None],
            torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            mlp.down_proj.weight,
            attention.q_norm.weight[:, None] if hasattr(attention, "q_norm") else None,
            attention.k_norm.weight[:, None] if hasattr(attention, "k_norm") else None,
        )

    def turned(
        self,
        found: Tensor,
        kv_heads: int,
        size: int,
        norm: Callable[[Tensor, Tensor], Tensor],
        cos: Tensor,
        sin: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """((N + 2K) D, B), the product with qkv, which is written over, to queries and then keys (N + K, D, B), turned
        by their places, and values (K, D, B)."""
        if self.qkv_bias is not None:
            found += self.qkv_bias
        found = found.view(-1, size, found.shape[1])
        turned, value = found[:-kv_heads], found[-kv_heads:]
        if self.q_norm is not None and self.k_norm is not None:
            query, key = turned[:-kv_heads], turned[-kv_heads:]
            turned = torch.cat([norm(query, self.q_norm), norm(key, self.k_norm)])
        return turned * cos + turned.roll(size // 2, 1).mul_(sin), value


class LlamaDecoder:
    """Keys and values: per layer (B, K, L, D), filled up to column `length`."""

    def __init__(self, policy: Policy, out: Any, mask: Tensor, k: int, room: int) -> None:
        config, model = policy.model.config, policy.model.model
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon = config.rms_norm_eps
        self.layers = [Layer.of(layer) for layer in model.layers]
        self.embedding, self.norm = model.embed_tokens.weight, model.norm.weight[:, None]
        self.lm_head = policy.model.lm_head.weight
        self.length = mask.shape[1]
        total = self.length + room
        self.keys, self.values = self._cache(out.cache, k, total)
        self.room_for_logits = self.embedding.new_empty((len(self.lm_head), 0))
        cos, sin = model.rotary_emb(self.embedding[:1], torch.arange(total, device=mask.device)[None])
        self.cos, self.sin = cos[0].T.contiguous(), sin[0].T.contiguous()
        # Half of each head turns the other way.
        self.sin[: self.size // 2].neg_()
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
        x = self.embedding[token].T.contiguous()
        cos, sin = self.cos[:, self.position], self.sin[:, self.position]
        for i, layer in enumerate(self.layers):
            attended = self._attend(i, layer, self._norm(x, layer.norm), cos, sin)
            x = torch.addmm(x, layer.out, attended)
            if layer.out_bias is not None:
                x += layer.out_bias
            gate, up = torch.mm(layer.gate_up, self._norm(x, layer.norm2)).chunk(2)
            x = torch.addmm(x, layer.down, silu(gate).mul_(up))
        self.length += 1
        self.position = self.position + 1
        x = self._norm(x, self.norm)
        return torch.mm(self.lm_head, x, out=self._logits(len(token))).T, x.T

    def _attend(self, i: int, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(H, B) to (N D, B); writes the new key and value into column `length`."""
        turned, value = layer.turned(torch.mm(layer.qkv, x), self.kv_heads, self.size, self._norm, cos, sin)
        self.keys[i][:, :, self.length] = turned[self.heads :].permute(2, 0, 1)
        self.values[i][:, :, self.length] = value.permute(2, 0, 1)
        end = self.length + 1
        # Queries that share a key stand as if they were neighbours in time, so that no key is copied for each.
        query = turned[: self.heads].permute(2, 0, 1).reshape(-1, self.kv_heads, self.heads // self.kv_heads, self.size)
        attended = scaled_dot_product_attention(
            query,
            self.keys[i][:, :, :end],
            self.values[i][:, :, :end],
            attn_mask=self.bias[..., :end] if self.padded else None,
        )
        return attended.reshape(x.shape[1], -1).T

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm over the last dimension but one; `weight` is a column."""
        wide = x.float()
        return (wide * (wide.square().mean(-2, keepdim=True) + self.epsilon).rsqrt_()).to(x.dtype).mul_(weight)

    def _logits(self, rows: int) -> Tensor:
        """(V, B) to write into: some megabytes each step that need not be fetched from the system anew."""
        if self.room_for_logits.shape[1] != rows:
            self.room_for_logits = self.embedding.new_empty((len(self.lm_head), rows))
        return self.room_for_logits

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
