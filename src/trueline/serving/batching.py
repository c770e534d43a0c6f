"""Many answers at once by one model: they join between two tokens and leave when they are done.

One thread owns the model (continuous batching, Yu et al. 2022, "Orca"); requests come in through a queue, and text goes
out, token by token, to the event loop that asked. The noise of an answer is keyed: it does not depend on its company.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trueline.policy.llama import serves
from trueline.policy.load import Policy
from trueline.policy.randomness import uniforms
from trueline.policy.sampler import Key, draw
from trueline.serving.llama_slots import LlamaSlots
from trueline.serving.slots import AnySlots, Part, Slots, limit
from trueline.serving.texts import Text
from trueline.serving.watermark import Marker, Watermark, vocabulary_of

READ = 128  # tokens of prompts that a step reads at most, so that those who draw need not wait for a long one
SHARED = 16  # a prompt that begins with so many tokens of one that was read need not be read from its beginning
TOGETHER = 8  # rows that are drawn at once
WAITING = 512  # answers that may wait for a place
Finish = Literal["stop", "length", "failed"]


@dataclass(frozen=True)
class Wish:
    """One answer that somebody wants. temperature 0: the likeliest token each time; top_logprobs: of each token that
    is drawn its log-probability, and those of so many of the likeliest, at temperature 1; None: of none.
    """

    prompt: Sequence[int]
    key: Key
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None


@dataclass(frozen=True)
class Drawn:
    """A token with its log-probability, and the likeliest ones in its place with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Piece:
    """What is new of an answer; `tokens` counts those drawn so far, the end token too. Only the last has a finish."""

    text: str
    tokens: int
    drawn: tuple[Drawn, ...] = ()
    finish: Finish | None = None


class Busy(Exception):
    """Too many answers wait already."""


class Ticket:
    """An answer that was asked for: its pieces come by iterating; whoever no longer wants it must cancel."""

    def __init__(self, wish: Wish, loop: asyncio.AbstractEventLoop) -> None:
        self.wish, self.loop = wish, loop
        self.pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self.cancelled = False

    def cancel(self) -> None:
        """Its place is free after the token that is being drawn; whoever still iterates is told that it is over."""
        self.cancelled = True
        self.pieces.put_nowait(Piece("", 0, finish="failed"))

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while True:
            piece = await self.pieces.get()
            yield piece
            if piece.finish is not None:
                return


@dataclass
class Row:
    """An answer in the batch. read: tokens of the prompt in the cache; kept: log-probabilities whose text waits."""

    ticket: Ticket
    noise: np.ndarray
    text: Text
    read: int = 0
    drawn: int = 0
    last: int = 0
    kept: list[Drawn] = field(default_factory=list)

    @property
    def wish(self) -> Wish:
        return self.ticket.wish

    @property
    def before(self) -> int:
        """The token before the one that is drawn next."""
        return self.last if self.drawn else self.wish.prompt[-1]


class Batcher:
    """slots: answers at once; watermark: of every answer. `ask` is called on an event loop; everything with an
    underscore runs in the thread.

    Those that draw come first in `rows`, `drawing` of them, and behind them those that read, in the order of reading.
    """

    def __init__(self, policy: Policy, slots: int = 16, watermark: Watermark | None = None) -> None:
        self.policy, self.places, self.watermark = policy, slots, watermark
        vocabulary = vocabulary_of(policy.model.config)
        self.marker = None if watermark is None else Marker(watermark, vocabulary, policy.device)
        self.limit = limit(policy)
        fast = serves(policy, self.limit)
        self.slots: Slots = LlamaSlots(policy, slots, self.limit) if fast else AnySlots(policy, slots)
        self.rows: list[Row] = []
        self.drawing = 0
        self.waiting: deque[Ticket] = deque()
        self.condition = threading.Condition()
        self.closed = False
        self.thread = threading.Thread(target=self._serve, name="batch", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        """End the thread; answers that are not done fail."""
        with self.condition:
            self.closed = True
            self.condition.notify()
        if self.thread.ident is not None:
            self.thread.join()

    def ask(self, wishes: Sequence[Wish]) -> list[Ticket]:
        """Busy: these would be more than may wait."""
        tickets = [Ticket(wish, asyncio.get_running_loop()) for wish in wishes]
        with self.condition:
            if len(self.waiting) + len(tickets) > WAITING or self.closed:
                raise Busy
            self.waiting.extend(tickets)
            self.condition.notify()
        return tickets

    def _serve(self) -> None:
        with torch.inference_mode():
            while self._admit():
                try:
                    told = self._turn()
                except Exception:
                    logging.getLogger(__name__).exception("a step failed; the answers in it are lost")
                    told = [(row.ticket, Piece("", row.drawn, finish="failed")) for row in self.rows]
                    self.rows, self.drawing = [], 0
                _tell(told)
        left = [*(row.ticket for row in self.rows), *self.waiting]
        _tell([(ticket, Piece("", 0, finish="failed")) for ticket in left])

    def _admit(self) -> bool:
        """Let go who was cancelled and take in who waits; sleeps while there is nobody. False: it is over."""
        for i in reversed(range(len(self.rows))):
            if self.rows[i].ticket.cancelled:
                self._leave(i)
        with self.condition:
            while not self.closed:
                while self.waiting and len(self.rows) < self.places:
                    ticket = self.waiting.popleft()
                    if not ticket.cancelled:
                        noise = uniforms(ticket.wish.max_new_tokens, *ticket.wish.key)
                        self.rows.append(Row(ticket, noise, Text(self.policy.tokenizer, ticket.wish.stop)))
                if self.rows:
                    return True
                self.condition.wait()
        return False

    def _turn(self) -> list[tuple[Ticket, Piece]]:
        """One token for each that draws, and some of the prompts of the others."""
        parts = self._parts()
        logits, hidden = self.slots.step([row.last for row in self.rows[: self.drawing]], parts)
        for part in parts:
            self.rows[part.row].read += len(part.ids)
            self.drawing += part.last
        rows = self.rows[: self.drawing]
        if not rows:
            return []
        if self.policy.shape is not None:
            assert hidden is not None
            logits = self.policy.shape(hidden, logits)
        told = []
        for i, token in reversed(list(enumerate(_tokens(rows, logits, self.marker)))):
            piece = self._piece(rows[i], token, logits[i])
            if piece.text or piece.finish:
                told.append((rows[i].ticket, piece))
            if piece.finish:
                self._leave(i)
        return told

    def _piece(self, row: Row, token: int, logits: Tensor) -> Piece:
        """What a token adds to its answer."""
        row.last, row.drawn = token, row.drawn + 1
        over = token in self.policy.end_ids
        if row.wish.top_logprobs is not None and not over:
            row.kept.append(_drawn(token, logits, row.wish.top_logprobs))
        text = "" if over else row.text.add(token)
        finish: Finish | None = None
        if over or row.text.stopped:
            finish = "stop"
        elif row.drawn == row.wish.max_new_tokens:
            finish = "length"
        if finish and not row.text.stopped:
            text += row.text.end()
        if not text and not finish:
            return Piece("", row.drawn)
        kept, row.kept = tuple(row.kept), []
        return Piece(text, row.drawn, kept, finish)

    def _parts(self) -> list[Part]:
        """What is read of whose prompt: from the first that reads on, until enough is read for one step."""
        parts: list[Part] = []
        left = READ
        for i in range(self.drawing, len(self.rows)):
            row = self.rows[i]
            prompt = row.wish.prompt
            if left <= 0 or (row.read == 0 and self.slots.cuts and not self._take_over(i)):
                break
            ids = prompt[row.read : row.read + left] if self.slots.cuts else prompt
            parts.append(Part(i, ids, row.read, row.read + len(ids) == len(prompt)))
            left -= len(ids)
        return parts

    def _take_over(self, i: int) -> bool:
        """Copy what another row has read of the same beginning. False: one is still about to read it."""
        row = self.rows[i]
        same = [_common(row.wish.prompt[:-1], other.wish.prompt) for other in self.rows[:i]]
        best = max(range(i), key=same.__getitem__, default=0)
        if not same or same[best] < SHARED:
            return True
        if self.rows[best].read < same[best]:
            return False
        self.slots.copy(best, i, same[best])
        row.read = same[best]
        return True

    def _leave(self, i: int) -> None:
        """The last that draws takes the place of one that drew, and the last of all the place that is free then."""
        if i < self.drawing:
            self.drawing -= 1
            self._move(self.drawing, i)
            i = self.drawing
        self._move(len(self.rows) - 1, i)
        self.rows.pop()

    def _move(self, source: int, target: int) -> None:
        if source != target:
            self.slots.move(source, target)
            self.rows[target] = self.rows[source]


def _tokens(rows: Sequence[Row], logits: Tensor, marker: Marker | None = None) -> list[int]:
    """A token for each row from its logits (R, V). Rows of the same settings are drawn together, always so many at
    once, the last of them repeated: sums over few rows are rounded otherwise than over many. A watermark counts as much
    at any temperature.
    """
    alike: dict[tuple[float, float], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        alike[row.wish.temperature, row.wish.top_p].append(i)
    tokens = [0] * len(rows)
    for (temperature, top_p), index in alike.items():
        for start in range(0, len(index), TOGETHER):
            some = index[start : start + TOGETHER]
            some += some[-1:] * (TOGETHER - len(some))
            mine = logits.T[:, some].T
            if marker is not None:
                mine = mine.float().add_(marker.added([rows[i].before for i in some]), alpha=temperature or 1.0)
            u = torch.tensor([rows[i].noise[rows[i].drawn] for i in some], dtype=torch.float64, device=logits.device)
            found = draw(mine, u, temperature, top_p)[0] if temperature else mine.argmax(-1)
            for i, token in zip(some, found.tolist(), strict=True):
                tokens[i] = token
    return tokens


def _drawn(token: int, logits: Tensor, n: int) -> Drawn:
    logprobs = logits.float().contiguous().log_softmax(-1)
    values, ids = logprobs.topk(min(n, len(logprobs)))
    return Drawn(token, float(logprobs[token]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Of how many tokens their common beginning is."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _tell(told: Sequence[tuple[Ticket, Piece]]) -> None:
    """One call into each event loop, however many pieces it gets."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Ticket, Piece]]] = defaultdict(list)
    for ticket, piece in told:
        loops[ticket.loop].append((ticket, piece))
    for loop, pieces in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_put, pieces)


def _put(pieces: Sequence[tuple[Ticket, Piece]]) -> None:
    for ticket, piece in pieces:
        ticket.pieces.put_nowait(piece)
