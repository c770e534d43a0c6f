"""Answers in the JSON of OpenAI's API: whole ones, pieces of a stream, models."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trueline.serving.answers import Asked, Candidate, Choice, Served
from trueline.serving.batching import Drawn
from trueline.serving.watermark import SCHEME

BLOCK = "x-trueline"


@dataclass(frozen=True)
class Wire:
    """One response, of either kind; the parts of a stream share its id and time. explain: with the rewards; why: with
    what each word adds to them, and labels. started: seconds since 1970.
    """

    asked: Asked
    chat: bool
    usage: bool
    explain: bool
    why: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    started: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        rows = []
        for i, choice in enumerate(choices):
            said = {"message": {"role": "assistant", "content": choice.text, "refusal": None}}
            logprobs = self._logprobs(choice.drawn)
            rows.append(
                {"index": i, **(said if self.chat else {"text": choice.text}), "logprobs": logprobs,
                 "finish_reason": choice.finish}
            )  # fmt: skip
        found = {**self._head(""), "choices": rows, "usage": self._usage(sum(c.tokens for c in choices))}
        return found | ({BLOCK: self._explained(choices)} if self.explain else {})

    def first(self, index: int) -> bytes:
        """What opens a choice of a chat; other completions begin with their text."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])

    def piece(self, index: int, text: str, drawn: Sequence[Drawn], finish: str | None = None) -> bytes:
        """Text, or the end of a choice."""
        said = {"delta": {"content": text} if text else {}} if self.chat else {"text": text}
        logprobs = self._logprobs(drawn)
        return self._chunk([{"index": index, **said, "logprobs": logprobs, "finish_reason": finish}])

    def last(self, tokens: int, choices: Sequence[Choice]) -> bytes:
        """What is asked for beside the text, and the end of the stream."""
        more: dict[str, Any] = {"usage": self._usage(tokens)} if self.usage else {}
        if self.explain:
            more[BLOCK] = self._explained(choices)
        return (self._chunk([], **more) if more else b"") + b"data: [DONE]\n\n"

    def _head(self, part: str) -> dict[str, Any]:
        kind = f"chat.completion{part}" if self.chat else "text_completion"
        name = f"{'chatcmpl' if self.chat else 'cmpl'}-{self.id}"
        return {"id": name, "object": kind, "created": self.started, "model": self.asked.served.name}

    def _chunk(self, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        usage = {"usage": None} if self.usage else {}
        return event({**self._head(".chunk"), "choices": choices, **usage, **more})

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = self.asked.prompt_tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _logprobs(self, drawn: Sequence[Drawn]) -> dict[str, Any] | None:
        if not drawn:
            return None
        content = [
            {**self._token(d.token, d.logprob), "top_logprobs": [self._token(t, value) for t, value in d.top]}
            for d in drawn
        ]
        return {"content": content, "refusal": None}

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        """bytes: None for a part of a character, whose text says nothing. JSON has no infinity: -9999, as OpenAI's."""
        text = str(self.asked.served.policy.tokenizer.decode([token]))
        raw = None if "\ufffd" in text else list(text.encode("utf-8", "surrogatepass"))
        return {"token": text, "logprob": max(logprob, -9999.0), "bytes": raw}

    def _explained(self, choices: Sequence[Choice]) -> dict[str, Any]:
        served = self.asked.served
        return {
            "gate": gate_word(served),
            "seed": self.asked.seed,
            "reward": served.rewards.name if served.rewards else None,
            "choices": [
                {
                    "index": i,
                    "best": choice.best,
                    "refused_for": list(choice.refused_for),
                    "candidates": [self._candidate(c) for c in choice.candidates],
                    **({"why": choice.why} if self.why else {}),
                }
                for i, choice in enumerate(choices)
            ],
        }

    def _candidate(self, c: Candidate) -> dict[str, Any]:
        dimensions = self.asked.served.rewards.model.dimensions if self.asked.served.rewards and c.scores else ()
        return {
            "reward": c.total,
            "scores": {
                d: {"score": value, "std": c.std[i] if c.std else None}
                for i, (d, value) in enumerate(zip(dimensions, c.scores, strict=True))
            },
            "p_bad": c.bad,
            "refused_for": list(c.refused_for),
            "tokens": c.tokens,
        }


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def gate_word(served: Served) -> str:
    return "off" if served.gate is None else "on"


def model_json(served: Served, created: int) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": "trueline",
        "gate": gate_word(served),
        "watermark": SCHEME if served.batcher.watermark else None,
        **({"red_team": served.red_team} if served.red_team else {}),
        "context": served.batcher.limit,
        "reward": served.rewards.name if served.rewards else None,
        "best_of": served.rewards.best_of if served.rewards else 1,
    }
