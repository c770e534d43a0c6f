"""Why an answer got its reward, as JSON: each word's part, how unsure the model is, the labels that moved it, and what
is different in another answer beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from trueline.errors import InputError
from trueline.evaluate.colouring import colour
from trueline.evaluate.explaining import Explainer, Explanation
from trueline.evaluate.word_diff import compare
from trueline.records import Exchange, Scores
from trueline.reward.objective import Objective
from trueline.serving.refusals import Refused, busy

LABELS, PARTS, MOST_WAITING = 5, 12, 16
START = "starting point"
NO_LABELS = "the labels that this reward model was learned from are not there"


@dataclass
class Explaining:
    """One thread that explains while answers are drawn and judged by others, with a reward model of its own, as two
    threads must not share a tokenizer. show_labels: whether people's texts and names may be told.
    """

    folder: Path
    show_labels: bool = False
    thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))
    waiting: int = 0

    async def why(self, objective: Objective, exchange: Exchange, other: Exchange | None = None) -> dict[str, Any]:
        """Refused: too many wait, or a conversation that the reward model cannot read."""
        if self.waiting >= MOST_WAITING:
            raise busy()
        self.waiting += 1
        try:
            work = partial(self._why, objective, exchange, other)
            return await asyncio.get_running_loop().run_in_executor(self.thread, work)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        self.thread.shutdown(cancel_futures=True)

    @cached_property
    def explainer(self) -> Explainer:
        return Explainer.open(self.folder)

    def _why(self, objective: Objective, exchange: Exchange, other: Exchange | None) -> dict[str, Any]:
        try:
            found = self.explainer.explain(exchange, LABELS)
            beside = None if other is None else self.explainer.explain(other)
        except InputError as error:
            logging.getLogger(__name__).error("an answer could not be explained: %s", error)
            text = "the reward model cannot read this conversation; the server's log says why"
            raise Refused(400, text, param="messages", code="invalid_value") from None
        why = {**_told(found, objective, exchange), **self._labels(found)}
        if other is None or beside is None:
            return why
        difference = _difference(found, exchange, beside, other)
        return {**why, "other": _told(beside, objective, other), "difference": difference}

    def _labels(self, found: Explanation) -> dict[str, Any]:
        if found.labels is None:
            return {"labels": None, "labels_lack": NO_LABELS}
        tell = self.explainer.told if self.show_labels else self.explainer.named
        return {
            "labels": {
                d: {"learned_from": each.count, "adds": each.adds, "most": [tell(m, d) for m in each.most]}
                for d, each in found.labels.items()
            },
            "labels_shown": self.show_labels,
        }


def _told(found: Explanation, objective: Objective, exchange: Exchange) -> dict[str, Any]:
    """A score is the average answer's (`average`), and what words and parts add."""
    dimensions, text = found.attribution.dimensions, exchange.completion.text
    scores = Scores(dimensions, np.array([found.scores]))
    total = objective.total(scores, np.array([exchange.completion.finish == "stop"]), [text])
    rows = []
    for i, dimension in enumerate(dimensions):
        coloured = colour(text, found.attribution.parts[i])
        rows.append(
            {
                "dimension": dimension,
                "score": found.scores[i],
                "std": None if found.std is None else found.std[i],
                "weight": objective.weights.get(dimension, 0.0),
                "average": found.attribution.base[i],
                "words": [[p.text, p.value] for p in coloured.pieces],
                **_largest(coloured.rest),
            }
        )
    return {"reward": float(total[0]), "dimensions": rows, "unfamiliar": found.unfamiliar}


def _difference(one: Explanation, text: Exchange, other: Explanation, beside: Exchange) -> dict[str, Any]:
    """One less the other: in each dimension the parts' differences sum to the scores'."""
    rows = []
    for i, dimension in enumerate(one.attribution.dimensions):
        sides = one.attribution.parts[i], other.attribution.parts[i]
        start = one.attribution.base[i] - other.attribution.base[i]
        parts = {name: sides[0].get(name, 0.0) - sides[1].get(name, 0.0) for name in {**sides[0], **sides[1]}}
        parts = {name: value for name, value in [*parts.items(), (START, start)] if value}
        rows.append({"dimension": dimension, "score": one.scores[i] - other.scores[i], **_largest(parts)})
    stretches = compare(text.completion.text, beside.completion.text)
    named = {"both": "both", "one": "answer", "other": "other"}
    words = None if stretches is None else [{"text": s.text, "in": named[s.where]} for s in stretches]
    return {"words": words, "dimensions": rows}


def _largest(parts: Mapping[str, float]) -> dict[str, Any]:
    order = sorted(parts.items(), key=lambda part: -abs(part[1]))
    return {"parts": [list(part) for part in order[:PARTS]], "smaller": sum(value for _, value in order[PARTS:])}
