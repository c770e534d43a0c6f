"""From a request to its answers: drawn, checked by the gate, and, with a reward model, the best of several.

Letters: n choices that were asked for, k candidates for each.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from jinja2 import TemplateError

from trueline.policy.chat import encode_prompt
from trueline.policy.load import Policy
from trueline.records import Exchange, Prompt, Scores
from trueline.reward.base import RewardModel
from trueline.reward.objective import Objective
from trueline.serving.batching import Batcher, Busy, Drawn, Ticket, Wish
from trueline.serving.bodies import ChatBody, CompletionBody
from trueline.serving.gate import BROKEN, REFUSAL, Gate
from trueline.serving.refusals import Refused, busy, failed, too_long
from trueline.serving.watermark import Watermark
from trueline.serving.why import Explaining

Found = TypeVar("Found")
Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Rewards:
    """A reward model, and how its dimensions become one number. best_of: candidates for each answer; explaining: what
    says why, None for nothing.
    """

    name: str
    model: RewardModel
    objective: Objective
    best_of: int = 1
    explaining: Explaining | None = None


@dataclass(frozen=True)
class Served:
    """A model that is served, with what stands around it. gate None: switched off; red_team: why it rewards harm, where
    it was made to.
    """

    name: str
    policy: Policy
    batcher: Batcher
    gate: Gate | None = None
    rewards: Rewards | None = None
    red_team: str | None = None
    reading: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))
    judging: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))

    @classmethod
    def of(
        cls,
        name: str,
        policy: Policy,
        gate: Gate | None = None,
        rewards: Rewards | None = None,
        slots: int = 16,
        red_team: str | None = None,
        watermark: Watermark | None = None,
    ) -> Served:
        # A tokenizer must not be used by two threads at once: one reads requests, the batch writes answers.
        own = replace(policy, tokenizer=copy.deepcopy(policy.tokenizer))
        return cls(name, own, Batcher(policy, slots, watermark), gate, rewards, red_team)

    @property
    def holds_back(self) -> bool:
        """Whether an answer must be whole before any of it may be given out."""
        return self.gate is not None or (self.rewards is not None and self.rewards.best_of > 1)

    def close(self) -> None:
        self.batcher.close()
        for each in (self.reading, self.judging):
            each.shutdown()
        if self.rewards is not None and self.rewards.explaining is not None:
            self.rewards.explaining.close()


@dataclass(frozen=True)
class Candidate:
    """An answer as it was drawn, with what was found about it; total: its reward, None where none was asked."""

    exchange: Exchange
    drawn: tuple[Drawn, ...]
    tokens: int
    refused_for: tuple[str, ...] = ()
    bad: float | None = None
    total: float | None = None
    scores: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What is given out, and what it was chosen from; `best` is the index of the one given out, None: a refusal. why:
    that one explained, where it was asked for.
    """

    candidates: tuple[Candidate, ...]
    best: int | None
    refused_for: tuple[str, ...] = ()
    why: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return REFUSAL if self.best is None else self.candidates[self.best].exchange.completion.text

    @property
    def finish(self) -> Finish:
        return "content_filter" if self.best is None else self.candidates[self.best].exchange.completion.finish

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        return () if self.best is None else self.candidates[self.best].drawn

    @property
    def tokens(self) -> int:
        return 0 if self.best is None else self.candidates[self.best].tokens


@dataclass
class Asked:
    """A request on its way: `tickets` has k for each of n choices; none where the request itself is refused."""

    served: Served
    prompt: Prompt
    prompt_tokens: int
    seed: int
    tickets: list[list[Ticket]]
    refused_for: tuple[str, ...] = ()
    n: int = 1

    def cancel(self) -> None:
        for row in self.tickets:
            for ticket in row:
                ticket.cancel()

    async def choices(self, explain: bool, why: bool = False) -> list[Choice]:
        """All answers, whole. Refused (500) where the model failed, or where too many wait to be told why."""
        if self.refused_for:
            return [Choice((), None, self.refused_for)] * self.n
        drawn = await asyncio.gather(*(self._candidate(t) for row in self.tickets for t in row))
        judged = await _in(self.served.judging, partial(_judged, self.served, drawn, explain))
        k = len(self.tickets[0])
        chosen = [_chosen(judged[i * k : (i + 1) * k]) for i in range(len(self.tickets))]
        return [await self._with_why(choice) for choice in chosen] if why else chosen

    async def _with_why(self, choice: Choice) -> Choice:
        rewards = self.served.rewards
        if choice.best is None or rewards is None or rewards.explaining is None:
            return choice
        exchange = _stripped(choice.candidates[choice.best].exchange)
        return replace(choice, why=await rewards.explaining.why(rewards.objective, exchange))

    async def _candidate(self, ticket: Ticket) -> Candidate:
        pieces = [piece async for piece in ticket]
        finish = pieces[-1].finish
        if finish == "failed" or finish is None:
            raise failed()
        text = "".join(piece.text for piece in pieces)
        exchange = Exchange.of(self.prompt, text, f"served:{self.served.name}", finish)
        return Candidate(exchange, tuple(d for piece in pieces for d in piece.drawn), pieces[-1].tokens)

    async def merged(self) -> AsyncIterator[tuple[int, str, tuple[Drawn, ...], str | None, int]]:
        """Text as it is drawn, of all choices as it comes: index, text, log-probabilities, finish, tokens so far."""
        queue: asyncio.Queue[tuple[int, str, tuple[Drawn, ...], str | None, int]] = asyncio.Queue()

        async def pump(i: int, ticket: Ticket) -> None:
            async for piece in ticket:
                queue.put_nowait((i, piece.text, piece.drawn, piece.finish, piece.tokens))

        pumps = [asyncio.create_task(pump(i, row[0])) for i, row in enumerate(self.tickets)]
        try:
            open_ = len(pumps)
            while open_:
                found = await queue.get()
                open_ -= found[3] is not None
                yield found
        finally:
            for task in pumps:
                task.cancel()


async def ask(served: Served, body: ChatBody | CompletionBody) -> Asked:
    """Read the request and put its answers into the batch. Refused: too long, too many, a form it cannot read."""
    chat = isinstance(body, ChatBody)
    prompt = body.prompt if isinstance(body, ChatBody) else body.asked
    n, seed = body.n or 1, secrets.randbits(48) if body.seed is None else body.seed
    ids = await _in(served.reading, partial(_encoded, served.policy, prompt, chat))
    limit = served.batcher.limit
    room = body.room or max(1, limit - len(ids))
    if len(ids) + room > limit:
        raise too_long(limit, len(ids), room)
    if served.gate is not None and (reasons := await _in(served.judging, partial(served.gate.request, prompt))):
        return Asked(served, prompt, len(ids), seed, [], reasons, n)
    k = served.rewards.best_of if served.rewards else 1
    temperature, top_p = (1.0 if x is None else x for x in (body.temperature, body.top_p))
    wishes = [
        Wish(ids, ("serve", seed, i, j), room, temperature, top_p, body.stops, body.top)
        for i in range(n)
        for j in range(k)
    ]
    try:
        tickets = served.batcher.ask(wishes)
    except Busy:
        raise busy() from None
    return Asked(served, prompt, len(ids), seed, [tickets[i * k : (i + 1) * k] for i in range(n)], (), n)


def _encoded(policy: Policy, prompt: Prompt, chat: bool) -> list[int]:
    """Nothing is cut: what is too long is refused by the caller."""
    if not chat:
        ids = list(policy.tokenizer.encode(prompt.messages[0].content, split_special_tokens=True))
    else:
        try:
            ids = encode_prompt(policy, prompt, sys.maxsize)
        except TemplateError:
            text = "this model's chat template does not take these roles in this order"
            raise Refused(400, text, param="messages", code="invalid_value") from None
    if not ids:
        raise Refused(400, "there is nothing to answer to: the prompt is empty", code="invalid_value")
    return ids


def _judged(served: Served, candidates: Sequence[Candidate], explain: bool) -> list[Candidate]:
    """What the gate and, where it is asked for or chosen by, the reward model say of each."""
    exchanges = [_stripped(c.exchange) for c in candidates]
    found = list(candidates)
    if served.gate is not None:
        judged = served.gate.answers(exchanges)
        chances = [None] * len(found) if judged.bad is None else [_finite(p) for p in judged.bad]
        found = [replace(c, refused_for=why, bad=p) for c, why, p in zip(found, judged.reasons, chances, strict=True)]
    rewards = served.rewards
    if rewards is not None and (explain or rewards.best_of > 1):
        found = _rewarded(found, rewards, rewards.model.score(exchanges), exchanges)
    return found


def _rewarded(
    found: Sequence[Candidate], rewards: Rewards, scores: Scores, exchanges: Sequence[Exchange]
) -> list[Candidate]:
    finished = np.array([e.completion.finish == "stop" for e in exchanges])
    totals = rewards.objective.total(scores, finished, [e.completion.text for e in exchanges])
    std = [()] * len(found) if scores.std is None else [tuple(map(float, row)) for row in scores.std]
    return [
        replace(c, total=float(t), scores=tuple(map(float, row)), std=doubt)
        for c, t, row, doubt in zip(found, totals, scores.values, std, strict=True)
    ]


def _chosen(candidates: Sequence[Candidate]) -> Choice:
    """The best of those that the gate lets through, the first of equal ones; a refusal where it lets none through."""
    passed = [i for i, c in enumerate(candidates) if not c.refused_for]
    best = max(passed, key=lambda i: candidates[i].total or 0.0, default=None)
    reasons = dict.fromkeys(why for c in candidates for why in c.refused_for)
    return Choice(tuple(candidates), best, () if best is not None else tuple(reasons) or (BROKEN,))


def _stripped(exchange: Exchange) -> Exchange:
    """As reward models know answers: without blanks around them."""
    c = exchange.completion
    return Exchange(exchange.prompt, replace(c, text=c.text.strip()))


def _finite(p: float) -> float | None:
    return float(p) if np.isfinite(p) else None


async def _in(pool: ThreadPoolExecutor, work: Callable[[], Found]) -> Found:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
