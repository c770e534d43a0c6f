"""The decode loop of answers with several turns: what follows each turn is read in, and the answer goes on.

All rows take one token a step, whether they draw it or read it, so that each is at a turn of its own and nobody waits;
a prompt is read once and nothing twice.

Letters: B rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from trueline.policy.load import Policy
from trueline.policy.randomness import uniforms
from trueline.policy.sampler import COMPACT_SHARE, Key, Shape, draw, shaped, start_decoder

Follow = Callable[[int, list[int]], list[int] | None]
"""(row, a turn's tokens with the end token) to the tokens that follow, or None where the answer is over."""


@dataclass
class Played:
    """One answer. tokens: its own and those that it read between its turns, up to its last own one; own: which are its
    own; logprobs: of its own; finished: whether it came to its end.
    """

    tokens: list[int] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False

    def add(self, token: int, logprob: float | None) -> None:
        """logprob: None where the token was read."""
        self.tokens.append(token)
        self.own.append(logprob is not None)
        if logprob is not None:
            self.logprobs.append(logprob)

    @property
    def turn(self) -> list[int]:
        """The own tokens behind all that was read."""
        begin = next((i for i in reversed(range(len(self.own))) if not self.own[i]), -1)
        return self.tokens[begin + 1 :]

    def trimmed(self) -> Played:
        last = len(self.own) - self.own[::-1].index(True)
        return Played(self.tokens[:last], self.own[:last], self.logprobs, self.finished)


@torch.inference_mode()
def play(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Sequence[Key]],
    follow: Follow,
    *,
    max_new_tokens: int,
    temperature: float,
    shape: Shape | None = None,
) -> list[Played]:
    """Answer each prompt (its token ids) once for every key in its row, turn by turn; all rows have the same number k
    of keys, and answers come flat, in the prompts' order.

    max_new_tokens: of all turns together, what is read between them counted in. An answer depends on its prompt, its
    key, the weights and what follows its turns; turn t draws with the noise of (*key, t).
    """
    k, device = len(keys[0]), policy.device
    flat = [key for row in keys for key in row]
    ends = set(policy.end_ids)
    decoder = start_decoder(policy, prompts, k, max_new_tokens, shape is not None)
    noise = [_Noise(key, max_new_tokens) for key in flat]
    unread: list[list[int]] = [[] for _ in flat]
    found = [Played() for _ in flat]
    rows = list(range(len(flat)))
    logits, hidden = decoder.first
    for t in range(max_new_tokens):
        points = torch.from_numpy(np.array([noise[i].next() if not unread[i] else 0.0 for i in rows])).to(device)
        token, logprob = draw(shaped(logits, hidden, shape), points, temperature)
        taken = token.tolist()
        for place, (i, value) in enumerate(zip(rows, logprob.tolist(), strict=True)):
            if not found[i].finished:
                taken[place] = _take(found[i], unread[i], taken[place], value)
                if taken[place] in ends and found[i].own[-1]:
                    told = follow(i, found[i].turn)
                    unread[i], found[i].finished = (told or [])[::-1], told is None
                    noise[i].turn()
        alive = [place for place, i in enumerate(rows) if not found[i].finished]
        if not alive or t + 1 == max_new_tokens:
            break
        token = torch.tensor(taken, device=device)
        if len(alive) < (1 - COMPACT_SHARE) * len(rows):
            decoder.keep(torch.tensor(alive, device=device))
            rows, token = [rows[place] for place in alive], token[alive]
        logits, hidden = decoder.step(token)
    return [played.trimmed() for played in found]


def _take(played: Played, unread: list[int], drawn: int, logprob: float) -> int:
    """Note the row's token: the next one to be read where there is one (they lie in reverse), else the drawn one."""
    token = unread.pop() if unread else None
    played.add(drawn if token is None else token, logprob if token is None else None)
    return drawn if token is None else token


class _Noise:
    """Uniform numbers of a row, anew for each turn."""

    def __init__(self, key: Key, most: int) -> None:
        self.key, self.most, self.number = key, most, -1
        self.turn()

    def turn(self) -> None:
        self.number, self.used = self.number + 1, 0
        self.values = uniforms(self.most, *self.key, self.number)

    def next(self) -> float:
        self.used += 1
        return float(self.values[self.used - 1])
