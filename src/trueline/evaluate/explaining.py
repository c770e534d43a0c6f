"""Why an answer got its score: what each word adds, how unsure the model is, and which labels moved it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Comparison, Exchange, Rating, content_id
from trueline.reward.base import Attribution, RewardModel
from trueline.reward.familiarity import Familiarity
from trueline.reward.influence import Influence, Moved, Moving, influence
from trueline.reward.lineage import labels_behind
from trueline.reward.registry import load_reward

WORKED_OUT = ("nearest", "familiarity")


@dataclass(frozen=True)
class Explanation:
    """scores, std: by dimension; std is None without an ensemble; unfamiliar: None where it cannot be told; labels: by
    dimension, None where they were not asked for or are not there.
    """

    attribution: Attribution
    scores: tuple[float, ...]
    std: tuple[float, ...] | None
    unfamiliar: bool | None
    labels: Mapping[str, Moving] | None = None


@dataclass(frozen=True)
class Explainer:
    """A saved reward model with the labels that it was learned from; lacks: why there are none, "" where there are.

    What costs time is worked out once, when it is first needed: how familiar answers look, and what labels did.
    """

    folder: Path
    model: RewardModel
    snapshot: FeedbackSnapshot | None
    lacks: str = ""

    @classmethod
    def open(cls, folder: Path) -> Explainer:
        """InputError where there is no such model."""
        model = load_reward(folder)
        try:
            return cls(folder, model, labels_behind(folder))
        except InputError as error:
            return cls(folder, model, None, str(error))

    def explain(self, exchange: Exchange, labels: int = 0) -> Explanation:
        """labels: how many that moved each dimension's score most."""
        scores = self.model.score([exchange])
        known = self.familiarity
        return Explanation(
            self.model.explain(exchange),
            tuple(scores.values[0].tolist()),
            None if scores.std is None else tuple(scores.std[0].tolist()),
            None if known is None else bool(known.unfamiliar([exchange.completion.text])[0]),
            self.influence.of(exchange, labels) if labels and self.influence else None,
        )

    @cached_property
    def influence(self) -> Influence | None:
        if self.snapshot is None:
            return None
        return influence(self.model, self.snapshot, self._beside("nearest"))

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """What answers like those it learned from look like, kept beside the model; None where there are too few."""
        if self.snapshot is None:
            return None
        target, learned = self._beside("familiarity"), self.snapshot
        found = Familiarity.load(target, learned.sha256)
        if found is None:
            parts = [learned.split(name) for name in ("train", "validation")]
            try:
                found = Familiarity.fit([c.text for part in parts for c in part.completions.values()])
            except InputError:
                return None
            with suppress(OSError):  # a folder that cannot be written to costs only time
                found.save(target, learned.sha256)
        return found

    def told(self, moved: Moved, dimension: str) -> dict[str, Any]:
        """A label as JSON, with texts and people: a judged `answer`, or that it was preferred to `other`."""
        assert self.snapshot is not None
        found = {**self.named(moved, dimension), "moves": moved.moves, "adds": moved.adds, "likeness": moved.likeness}
        one = moved.said[0]
        if isinstance(one, Comparison):
            ids = (one.b_id, one.a_id) if one.preference > 0 else (one.a_id, one.b_id)
            better, worse = (self.snapshot.completions[i].text for i in ids)
            texts: dict[str, str | None] = {"answer": better, "other": worse}
            shown = ids[0]
        else:
            shown = one.completion_id
            texts = {"answer": self.snapshot.completions[shown].text, "other": None}
        prompt = self.snapshot.exchange(shown).prompt
        asked = next((m.content for m in reversed(prompt.messages) if m.role == "user"), prompt.text)
        people = [
            {"name": said.annotator.name, "simulated": said.annotator.simulated}
            | ({"rating": said.value} if isinstance(said, Rating) else {"preferred_by": abs(said.preference)})
            for said in moved.said
        ]
        return {**found, "people": people, "prompt": asked, **texts}

    def named(self, moved: Moved, dimension: str) -> dict[str, Any]:
        """What may be told of a label to those who must not read it. The id tells nothing of what it is made from to
        whoever does not have the snapshot.
        """
        assert self.snapshot is not None
        made_from = [p for said in moved.said for p in (*_answers(said), said.annotator.name)]
        return {
            "id": content_id("label", self.snapshot.sha256, dimension, *made_from),
            "direction": "up" if moved.raises else "down",
        }

    def _beside(self, what: str) -> Path:
        return beside(self.folder, what)


def beside(folder: Path, what: str) -> Path:
    """Where a reward model's vectors of what it learned from are kept; what: one of WORKED_OUT."""
    return folder.with_name(f"{folder.name}.{what}.safetensors")


def _answers(said: Rating | Comparison) -> tuple[str, ...]:
    return (said.completion_id,) if isinstance(said, Rating) else (said.a_id, said.b_id)
