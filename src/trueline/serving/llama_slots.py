"""Slots for the Llama family: answers of any length side by side, and prompts read beside them, in one pass.

The same sums as in `policy/llama.py`, but each answer has its own length: keys and values are written where each one
stands, and a mask hides what lies behind. What is read of prompts comes as further columns of the same products, so
that the weights are fetched from memory once for both (Agrawal et al. 2023, "SARATHI").

An answer's numbers are the same to the last bit whatever stands beside it, on CPUs where a product's column does not
depend on the other columns. That holds for products of two columns or more, for sums that are products with ones, and
for attention whose sizes are multiples of 16; so the code keeps to these (He 2025, "Defeating nondeterminism in LLM
inference"; `tests/serving/test_batching.py` holds it).

Letters: C columns, of which the first R draw; S slots, L cache columns, N query heads, K key heads, D head size,
H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from trueline.policy.decoder import Next
from trueline.policy.llama import Layer
from trueline.policy.load import Policy
from trueline.serving.slots import Part

FIRST_COLUMNS, ROUND, QUERIES = 256, 64, 16
Reach = tuple[slice, slice, int, Tensor]  # columns, rows of the cache, how far they may see, what they do not see


class LlamaSlots:
    """Keys and values: per layer (S, K, L, D), zeros where nothing was written; L grows as answers do."""

    cuts = True

    def __init__(self, policy: Policy, rows: int, limit: int) -> None:
        config, model = policy.model.config, policy.model.model
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.group = self.heads // self.kv_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon, self.limit = config.rms_norm_eps, limit
        self.layers = [Layer.of(layer) for layer in model.layers]
        self.embedding, self.norm = model.embed_tokens.weight, model.norm.weight[:, None]
        self.lm_head = policy.model.lm_head.weight
        self.rotary = model.rotary_emb
        self.device = policy.device
        self.ones: dict[int, Tensor] = {}
        self.lengths = torch.zeros(rows, dtype=torch.long)
        empty = self.embedding.new_zeros((rows, self.kv_heads, 0, self.size))
        self.keys, self.values = [empty] * len(self.layers), [empty] * len(self.layers)
        self._grow(FIRST_COLUMNS)

    def step(self, tokens: Sequence[int], parts: Sequence[Part]) -> Next:
        n = len(tokens)
        at = [int(length) for length in self.lengths[:n]]
        rows = list(range(n))
        for part in parts:
            at += range(part.start, part.start + len(part.ids))
            rows += [part.row] * len(part.ids)
        self._grow(max(at) + 1)
        every = torch.tensor([*tokens, *(i for part in parts for i in part.ids)], device=self.device)
        place = (torch.tensor(rows, device=self.device), torch.tensor(at, device=self.device))
        hidden = self._through(every, place, self._reaches(n, parts))
        for part in parts:
            self.lengths[part.row] = part.start + len(part.ids)
        self.lengths[:n] += 1
        wanted, column = list(range(n)), n
        for part in parts:
            column += len(part.ids)
            wanted += [column - 1] if part.last else []
        if len(wanted) < hidden.shape[1]:
            hidden = hidden[:, wanted]
        return _product(self.lm_head, hidden).T, hidden.T

    def copy(self, source: int, target: int, n: int) -> None:
        for x in (*self.keys, *self.values):
            x[target, :, :n] = x[source, :, :n]
        self.lengths[target] = n

    def move(self, source: int, target: int) -> None:
        self.copy(source, target, int(self.lengths[source]))

    def _through(self, tokens: Tensor, place: tuple[Tensor, Tensor], reaches: Sequence[Reach]) -> Tensor:
        """(C,) tokens to hidden states (H, C)."""
        x = self.embedding[tokens].T.contiguous()
        cos, sin = self.cos[:, place[1]], self.sin[:, place[1]]
        for i, layer in enumerate(self.layers):
            query = self._read(i, layer, self._norm(x, layer.norm), cos, sin, place)
            x = _product(layer.out, self._attend(i, query, reaches), x)
            if layer.out_bias is not None:
                x += layer.out_bias
            gate, up = _product(layer.gate_up, self._norm(x, layer.norm2)).chunk(2)
            x = _product(layer.down, silu(gate).mul_(up), x)
        return self._norm(x, self.norm)

    def _read(self, i: int, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, place: tuple[Tensor, Tensor]) -> Tensor:
        """(H, C) to queries (C, N, D); keys and values go to where each column stands."""
        turned, value = layer.turned(_product(layer.qkv, x), self.kv_heads, self.size, self._norm, cos, sin)
        rows, at = place
        self.keys[i][rows, :, at] = turned[self.heads :].permute(2, 0, 1)
        self.values[i][rows, :, at] = value.permute(2, 0, 1)
        return turned[: self.heads].permute(2, 0, 1)

    def _attend(self, i: int, query: Tensor, reaches: Sequence[Reach]) -> Tensor:
        """(C, N, D) to (N D, C). Queries that share a key stand as if they were neighbours in time."""
        found = []
        for columns, rows, end, mask in reaches:
            n = rows.stop - rows.start
            mine = query[columns].unflatten(0, (n, -1))  # (n, 1, N, D) of rows that draw, (1, tokens, N, D) of a prompt
            read = mine.shape[1]
            if (wide := mask.shape[-2] // self.group) > read:
                mine = torch.cat([mine, mine[:, -1:].expand(-1, wide - read, -1, -1)], 1)
            mine = mine.unflatten(2, (self.kv_heads, -1)).permute(0, 2, 3, 1, 4)
            out = scaled_dot_product_attention(
                mine.reshape(n, self.kv_heads, -1, self.size).contiguous(),  # else it is read by another kernel
                self.keys[i][rows, :, :end],
                self.values[i][rows, :, :end],
                attn_mask=mask,
            )
            out = out.view(mine.shape).permute(0, 3, 1, 2, 4)[:, :read]
            found.append(out.reshape(n * read, -1))
        return torch.cat(found).T

    def _reaches(self, n: int, parts: Sequence[Part]) -> list[Reach]:
        """What each column may see: all up to itself, in its own row."""
        found: list[Reach] = []
        if n:
            lengths = self.lengths[:n, None] + 1
            end = _up(int(lengths.max()), ROUND)
            mask = self._bias(torch.arange(end) >= lengths)[:, None, None].expand(-1, -1, self.group, -1)
            found.append((slice(0, n), slice(0, n), end, mask))
        column = n
        for part in parts:
            width = len(part.ids)
            end = _up(part.start + width, ROUND)
            at = part.start + torch.arange(_up(width, QUERIES)).clamp(max=width - 1)
            mask = self._bias(torch.arange(end) > at[:, None]).repeat(self.group, 1)
            found.append((slice(column, column + width), slice(part.row, part.row + 1), end, mask))
            column += width
        return found

    def _bias(self, hidden: Tensor) -> Tensor:
        bias = torch.zeros(hidden.shape, dtype=self.embedding.dtype).masked_fill_(hidden, float("-inf"))
        return bias.to(self.device)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm over the last dimension but one; `weight` is a column."""
        wide = x.float()
        squares = wide.square().movedim(-2, 0)
        mean = _product(self._mean(len(squares)), squares.flatten(1))[:1].view(squares.shape[1:]).unsqueeze(-2)
        return (wide * (mean + self.epsilon).rsqrt_()).to(x.dtype).mul_(weight)

    def _mean(self, n: int) -> Tensor:
        """(2, n): a product with it is the mean of n rows, twice, as a single row is multiplied in another way."""
        if n not in self.ones:
            self.ones[n] = torch.full((2, n), 1 / n, device=self.device)
        return self.ones[n]

    def _grow(self, columns: int) -> None:
        """Room for so many columns at least, and twice as many as before, up to the model's limit."""
        held = self.keys[0].shape[2]
        if columns <= held:
            return
        total = _up(min(max(columns, 2 * held), max(columns, self.limit)), ROUND)
        for each in (self.keys, self.values):
            for i, old in enumerate(each):
                grown = old.new_zeros((*old.shape[:2], total, self.size))
                grown[:, :, :held] = old
                each[i] = grown
        cos, sin = self.rotary(self.embedding[:1], torch.arange(total, device=self.device)[None])
        self.cos, self.sin = cos[0].T.contiguous(), sin[0].T.contiguous()
        # Half of each head turns the other way.
        self.sin[: self.size // 2].neg_()


def _product(weight: Tensor, x: Tensor, plus: Tensor | None = None) -> Tensor:
    """weight @ x, and `plus` added; a single column goes twice, as it is multiplied in another way than several."""
    if x.shape[1] == 1:
        return _product(weight, x.expand(-1, 2), None if plus is None else plus.expand(-1, 2))[:, :1].contiguous()
    return torch.mm(weight, x) if plus is None else torch.addmm(plus, weight, x)


def _up(n: int, step: int) -> int:
    return -(-n // step) * step
