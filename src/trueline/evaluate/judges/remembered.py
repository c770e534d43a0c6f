"""A judge that is asked about each answer, and each pair, once: what it says is kept by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from trueline import durable
from trueline.errors import InputError, RunError
from trueline.evaluate.judges.base import Judge, by_scores
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Scores, content_id

FLAGS = ("safe", "consistent", "refused")


@dataclass(frozen=True)
class Remembered:
    """said: by `_key` what was said of an answer, by `_pair` which of two is better; kept in `path`, where there is
    one. What got no verdict is not kept, and asked again. failures: as `ModelJudge.failures`.
    """

    judge: Judge
    path: Path | None = None
    said: dict[str, Any] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, judge: Judge, identity: Sequence[str], folder: Path | None) -> Self:
        """identity: all that its verdicts depend on; another identity, another file in `folder`."""
        if folder is None:
            return cls(judge)
        path = folder / f"{content_id(judge.name, *identity)}.json"
        try:
            return cls(judge, path, durable.read_json(path) if path.exists() else {})
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); delete it, and the judge is asked again") from error

    @property
    def name(self) -> str:
        return self.judge.name

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts | None:
        keys = [_key(e) for e in exchanges]
        new = {key: e for key, e in zip(keys, exchanges, strict=True) if key not in self.said}
        if new or not keys:
            found = self.judge.rate(list(new.values()))
            if found is None or not keys:
                return found
            self._keep(dict(zip(new, _rows(found), strict=True)))
        return _verdicts([self.said[key] for key in keys])

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        """RunError: as the judge raises it, but where it knows some pairs already; there they count alone."""
        self.failures.clear()
        if self.rate([*before, *after]) is not None:
            return by_scores(self.rate, before, after)  # type: ignore[arg-type]
        keys = [_pair(a, b) for a, b in zip(before, after, strict=True)]
        new = {key: i for i, key in enumerate(keys) if key not in self.said}
        if new:
            try:
                found = self.judge.compare([before[i] for i in new.values()], [after[i] for i in new.values()])
                self._keep({key: v for key, v in zip(new, found.tolist(), strict=True) if not np.isnan(v)})
            except RunError:
                if len(new) == len(set(keys)):
                    raise
            self.failures.update(getattr(self.judge, "failures", {}))
        return np.array([self.said.get(key, np.nan) for key in keys], dtype=np.float64)

    def _keep(self, more: dict[str, Any]) -> None:
        self.said.update(more)
        if self.path is not None:
            durable.write_json(self.path, self.said)


def _key(exchange: Exchange) -> str:
    return content_id(exchange.completion.id, exchange.completion.finish)


def _pair(before: Exchange, after: Exchange) -> str:
    return content_id(_key(before), _key(after))


def _rows(found: Verdicts) -> list[dict[str, Any]]:
    scores, std = found.scores.values.tolist(), found.scores.std
    spread = [None] * len(scores) if std is None else std.tolist()
    flags = [[None] * len(scores) if given is None else given.tolist() for given in (getattr(found, f) for f in FLAGS)]
    return [
        {"scores": dict(zip(found.scores.dimensions, row, strict=True)), "std": spread[i]}
        | {name: flag[i] for name, flag in zip(FLAGS, flags, strict=True)}
        for i, row in enumerate(scores)
    ]


def _verdicts(rows: Sequence[dict[str, Any]]) -> Verdicts:
    first = rows[0]
    scores = np.array([[*row["scores"].values()] for row in rows], dtype=np.float64)
    std = None if first["std"] is None else np.array([row["std"] for row in rows], dtype=np.float64)
    flags = (None if first[name] is None else np.array([row[name] for row in rows], dtype=bool) for name in FLAGS)
    return Verdicts(Scores(tuple(first["scores"]), scores, std), *flags)
