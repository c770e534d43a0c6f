"""An immutable copy of the feedback at one moment, with the sha256 of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trueline import durable
from trueline.errors import InputError
from trueline.records import (
    Annotator,
    Comparison,
    Completion,
    Exchange,
    Message,
    Prompt,
    Rating,
    Split,
    split_of,
)


@dataclass(frozen=True)
class FeedbackSnapshot:
    """Prompts and completions by id, with every current rating and comparison of them, in a stable order."""

    prompts: Mapping[str, Prompt]
    completions: Mapping[str, Completion]
    ratings: tuple[Rating, ...]
    comparisons: tuple[Comparison, ...]

    def __post_init__(self) -> None:
        """Sort, because a sum over labels depends on their order in the last bit."""
        ordered = {
            "prompts": MappingProxyType(dict(sorted(self.prompts.items()))),
            "completions": MappingProxyType(dict(sorted(self.completions.items()))),
            "ratings": tuple(sorted(self.ratings, key=lambda r: (r.completion_id, r.dimension, r.annotator.name))),
            "comparisons": tuple(
                sorted(self.comparisons, key=lambda c: (c.a_id, c.b_id, c.dimension, c.annotator.name))
            ),
        }
        for name, value in ordered.items():
            object.__setattr__(self, name, value)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def exchange(self, completion_id: str) -> Exchange:
        completion = self.completions[completion_id]
        return Exchange(self.prompts[completion.prompt_id], completion)

    def split(self, name: Split) -> FeedbackSnapshot:
        """The part whose prompts belong to one split (always by prompt)."""
        return self.of_prompts({i for i, p in self.prompts.items() if split_of(p) == name})

    def of_prompts(self, ids: Set[str]) -> FeedbackSnapshot:
        """The part of some prompts: their answers and the labels of these."""
        prompts = {i: p for i, p in self.prompts.items() if i in ids}
        completions = {i: c for i, c in self.completions.items() if c.prompt_id in prompts}
        return FeedbackSnapshot(
            prompts,
            completions,
            tuple(r for r in self.ratings if r.completion_id in completions),
            tuple(c for c in self.comparisons if c.a_id in completions),
        )

    def by_annotators(self, names: set[str]) -> FeedbackSnapshot:
        """The same texts with only some people's labels, for a judge that learned from other people."""
        return FeedbackSnapshot(
            self.prompts,
            self.completions,
            tuple(r for r in self.ratings if r.annotator.name in names),
            tuple(c for c in self.comparisons if c.annotator.name in names),
        )

    @property
    def labels(self) -> int:
        """Ratings and comparisons, one a dimension."""
        return len(self.ratings) + len(self.comparisons)

    @property
    def annotators(self) -> tuple[Annotator, ...]:
        found = {*(r.annotator for r in self.ratings), *(c.annotator for c in self.comparisons)}
        return tuple(sorted(found, key=lambda a: a.name))

    def save(self, path: Path) -> None:
        durable.write_file(path, (json.dumps({"sha256": self.sha256}) + "\n" + self.canonical).encode())

    @classmethod
    def load(cls, path: Path) -> FeedbackSnapshot:
        """Read a snapshot; InputError when it is missing or does not match its sha256."""
        try:
            head, body = path.read_text("utf-8").split("\n", 1)
            expected = json.loads(head)["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a feedback snapshot ({error}); make one with `trueline reward`") from error
        if hashlib.sha256(body.encode()).hexdigest() != expected:
            raise InputError(f"{path}: content does not match its sha256; the file was changed or cut, restore it")
        try:
            return cls._of(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a feedback snapshot ({error!r}); make one with `trueline reward`") from error

    @classmethod
    def _of(cls, data: Any) -> FeedbackSnapshot:
        prompts = [_prompt(p) for p in data["prompts"]]
        completions = [Completion(**c) for c in data["completions"]]
        people = {a["name"]: Annotator(**a) for a in data["annotators"]}
        return cls(
            {p.id: p for p in prompts},
            {c.id: c for c in completions},
            tuple(Rating(i, d, v, people[a]) for i, d, v, a in data["ratings"]),
            tuple(Comparison(a, b, d, p, people[n], bad) for a, b, d, p, n, bad in data["comparisons"]),
        )

    @property
    def canonical(self) -> str:
        """The text whose sha256 it has."""
        data: dict[str, Any] = {
            "prompts": [
                {"messages": [[m.role, m.content] for m in p.messages], "meta": dict(p.meta)}
                for p in self.prompts.values()
            ],
            "completions": [
                {"prompt_id": c.prompt_id, "text": c.text, "source": c.source, "finish": c.finish}
                for c in self.completions.values()
            ],
            "annotators": [{"name": a.name, "simulated": a.simulated} for a in self.annotators],
            "ratings": [[r.completion_id, r.dimension, r.value, r.annotator.name] for r in self.ratings],
            "comparisons": [
                [c.a_id, c.b_id, c.dimension, c.preference, c.annotator.name, c.both_bad] for c in self.comparisons
            ],
        }
        return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _prompt(data: Mapping[str, Any]) -> Prompt:
    return Prompt(tuple(Message(role, content) for role, content in data["messages"]), data["meta"])
