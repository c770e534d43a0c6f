"""The decode loop: a prompt is read once for all its samples, finished answers leave the batch, the noise is keyed.

Letters: B rows, H hidden size, V vocabulary. Sampling uses the whole distribution at a temperature (top-k 0, top-p 1
unless a user asks otherwise), so that the captured log-probabilities are exactly those of the policy that is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trueline.policy.decoder import AnyDecoder, Decoder
from trueline.policy.llama import LlamaDecoder, serves
from trueline.policy.load import Policy, require_room
from trueline.policy.randomness import uniforms

Key = tuple[int | str, ...]
Shape = Callable[[Tensor, Tensor], Tensor]
COMPACT_SHARE = 0.25
BLOCK = 256
STRIP = 24 * BLOCK


@dataclass(frozen=True)
class Sample:
    """One answer: its tokens (the end token too), their log-probabilities, and whether it ended by itself."""

    tokens: list[int]
    logprobs: list[float]
    finished: bool


@torch.inference_mode()
def sample(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Sequence[Key]],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    shape: Shape | None = None,
) -> list[list[Sample]]:
    """Answer each prompt (its token ids) once for every key in its row; all rows have the same number k of keys.

    top_p: draw from the likeliest tokens that make up this share; stop: texts that end an answer, counted in;
    shape: maps hidden states (B, H) and logits (B, V) to the logits that are drawn from, for policies with heads.
    Returns one list of k samples for each prompt. A sample depends on its prompt, its key and the weights alone.
    """
    k, device = len(keys[0]), policy.device
    decoder = start_decoder(policy, prompts, k, max_new_tokens, shape is not None)
    noise = torch.from_numpy(np.stack([uniforms(max_new_tokens, *key) for row in keys for key in row])).to(device)
    ends = torch.tensor(policy.end_ids, device=device)
    n = len(noise)
    rows = torch.arange(n, device=device)
    tokens = torch.zeros((n, max_new_tokens), dtype=torch.long, device=device)
    logprobs = torch.zeros((n, max_new_tokens), device=device)
    lengths = torch.full((n,), max_new_tokens, device=device)
    finished = torch.zeros(n, dtype=torch.bool, device=device)
    logits, hidden = decoder.first
    for t in range(max_new_tokens):
        token, logprob = draw(shaped(logits, hidden, shape), noise[rows, t], temperature, top_p)
        tokens[rows, t], logprobs[rows, t] = token, logprob
        over = torch.isin(token, ends)
        if stop:
            over |= torch.tensor([_stops(policy, row, stop) for row in tokens[rows, : t + 1].tolist()], device=device)
        ended = rows[over & ~finished[rows]]
        lengths[ended], finished[ended] = t + 1, True
        alive = ~finished[rows]
        left = int(alive.sum())
        if not left or t + 1 == max_new_tokens:
            break
        if left < (1 - COMPACT_SHARE) * len(alive):
            kept = alive.nonzero().squeeze(-1)
            decoder.keep(kept)
            rows, token = rows[kept], token[kept]
        logits, hidden = decoder.step(token)
    flat = [
        Sample(row[:size], values[:size], done)
        for row, values, size, done in zip(
            tokens.tolist(), logprobs.tolist(), lengths.tolist(), finished.tolist(), strict=True
        )
    ]
    return [flat[i * k : (i + 1) * k] for i in range(len(prompts))]


@torch.inference_mode()
def stream(
    policy: Policy,
    prompt: Sequence[int],
    key: Key,
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """One answer, piece by piece as it is drawn; joined it is the text of `sample` with the same key.

    What may be the beginning of a stop text, or of a character of several tokens, waits for its end.
    """
    decoder = start_decoder(policy, [prompt], 1, max_new_tokens, policy.shape is not None)
    noise = torch.from_numpy(uniforms(max_new_tokens, *key)).to(policy.device)
    found: list[int] = []
    told = ""
    logits, hidden = decoder.first
    for t in range(max_new_tokens):
        token, _ = draw(shaped(logits, hidden, policy.shape), noise[t : t + 1], temperature, top_p)
        found.append(int(token))
        text = policy.tokenizer.decode(found, skip_special_tokens=True)
        at = min((i for s in stop if (i := text.find(s)) >= 0), default=-1)
        if found[-1] in policy.end_ids or at >= 0:
            yield text[len(told) : at if at >= 0 else None]
            return
        sure = text.rstrip("\ufffd")
        held = max((n for s in stop for n in range(1, len(s)) if sure.endswith(s[:n])), default=0)
        sure = sure[: len(sure) - held]
        if len(sure) > len(told):
            yield sure[len(told) :]
            told = sure
        logits, hidden = decoder.step(token)
    yield policy.tokenizer.decode(found, skip_special_tokens=True)[len(told) :]


def draw(logits: Tensor, u: Tensor, temperature: float, top_p: float = 1.0) -> tuple[Tensor, Tensor]:
    """Inverse-CDF draw from softmax(logits / temperature): (B, V) and (B,) in [0, 1) to (B,) ids and (B,) log-probs.

    First the block of 256 tokens that holds the point, then the token in it: one pass over the vocabulary, many times
    cheaper than torch.multinomial on a CPU, and keyed.
    """
    logits = logits.float() if temperature == 1 else logits.float() / temperature
    if top_p < 1:
        logits = _nucleus(logits, top_p)
    blocks = _block_logsumexp(logits)
    top = blocks.amax(-1, keepdim=True)
    upto = (blocks - top).double().exp_().cumsum(-1)
    total = upto[:, -1:]
    point = u.unsqueeze(-1) * total
    block = torch.searchsorted(upto, point, right=True).clamp_(max=upto.shape[-1] - 1)
    before = torch.where(block > 0, upto.gather(-1, (block - 1).clamp(min=0)), 0.0)
    ids = block * BLOCK + torch.arange(BLOCK, device=logits.device)
    within = logits.gather(-1, ids.clamp(max=logits.shape[-1] - 1)).masked_fill_(ids >= logits.shape[-1], -torch.inf)
    inside = (within - top).double().exp_().cumsum(-1)
    # Rounding may put the point a hair behind the block's last token that can be drawn.
    rest = torch.minimum(point - before, inside[:, -1:] * (1 - 2**-52))
    chosen = torch.searchsorted(inside, rest, right=True)
    logprob = within.gather(-1, chosen) - top - total.log()
    return (block * BLOCK + chosen).squeeze(-1), logprob.squeeze(-1).float()


def _block_logsumexp(logits: Tensor) -> Tensor:
    """(B, V) to (B, V / 256, rounded up); strip by strip, so that what is in between stays in the cache."""
    whole = logits.shape[-1] - logits.shape[-1] % BLOCK
    strips = [x.unflatten(-1, (-1, BLOCK)) for x in logits[:, :whole].split(STRIP, -1)] if whole else []
    if whole < logits.shape[-1]:
        strips.append(logits[:, whole:].unsqueeze(1))
    found = []
    for strip in strips:
        # Answers last: ten times faster where the logits lie that way in memory, and no slower where they do not.
        strip = strip.permute(1, 2, 0)
        # Not below the least float: a block that is ruled out as a whole has -inf less -inf otherwise.
        top = strip.amax(1, keepdim=True).clamp_(min=-1e30)
        found.append((strip - top).exp_().sum(1).log_().add_(top.squeeze(1)).T)
    return torch.cat(found, -1)


def _nucleus(logits: Tensor, share: float) -> Tensor:
    """The likeliest tokens that together reach `share` of each row (Holtzman et al. 2020); -inf for the others."""
    ordered, index = logits.softmax(-1).sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    unlikely = torch.zeros_like(before, dtype=torch.bool).scatter_(-1, index, before >= share)
    return logits.masked_fill(unlikely, -torch.inf)


def start_decoder(policy: Policy, prompts: Sequence[Sequence[int]], k: int, room: int, hidden: bool) -> Decoder:
    longest = max(map(len, prompts))
    require_room(policy, longest, room)
    kind: type[Decoder] = LlamaDecoder if serves(policy, longest + room) else AnyDecoder
    return kind.start(policy, prompts, k, room, hidden)


def shaped(logits: Tensor, hidden: Tensor | None, shape: Shape | None) -> Tensor:
    if shape is None:
        return logits
    assert hidden is not None
    return shape(hidden, logits)


def _stops(policy: Policy, tokens: Sequence[int], stop: Sequence[str]) -> bool:
    """Whether the last token completed a stop text; only as much of the end is read as one could fill."""
    tail = policy.tokenizer.decode(tokens[-(max(map(len, stop)) + 1) :], skip_special_tokens=True)
    return any(s in tail for s in stop)
