"""The judged answers nearest to an answer, as a neural reward model sees them.

Its space is the mean of its last hidden layer over a text's tokens, less that of all judged answers (else every two are
alike), by cosine. The vectors are worked out once and kept beside the model. torch is loaded on first use.

Letters: n judged answers, h hidden size, t texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from trueline import durable
from trueline.errors import RunError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Rating
from trueline.reward.influence import Moved, Moving
from trueline.reward.taught import Said, labels_of
from trueline.reward.transformer import TransformerReward

BATCH, TOKENS = 64, 16_384  # texts at once, and their tokens with padding


@dataclass(frozen=True)
class Nearest:
    """said: by dimension what was said of each answer, by its id; vectors (n, h) of length 1, centre (h,)."""

    model: TransformerReward
    said: Mapping[str, Mapping[str, Sequence[Said]]]
    ids: Sequence[str]
    vectors: np.ndarray
    centre: np.ndarray

    @classmethod
    def open(cls, model: TransformerReward, snapshot: FeedbackSnapshot, cache: Path | None) -> Nearest:
        """What the model learned from: the train split."""
        learned = snapshot.split("train")
        said = {d: _by_answer(learned, d, model.config.learn_from) for d in model.dimensions}
        ids = sorted({i for each in said.values() for i in each})
        key = hashlib.sha256(f"{model.report_} {snapshot.sha256}".encode()).hexdigest()
        found = _read(cache, key, len(ids))
        if found is None:
            found = embedded(model, [learned.exchange(i) for i in ids])
            if cache is not None:
                with suppress(OSError):  # a folder that cannot be written to costs only time
                    durable.write_file(cache, save({"vectors": found}, {"key": key}))
        centre = found.mean(0)
        return cls(model, said, ids, _unit(found - centre), centre)

    def of(self, exchange: Exchange, k: int) -> dict[str, Moving]:
        """All that was said of the nearest answer, then of the next, until k things are told."""
        like = self.vectors @ _unit(embedded(self.model, [exchange]) - self.centre)[0]
        order = np.argsort(-like, kind="stable")
        return {d: self._moving(each, like, order, k) for d, each in self.said.items()}

    def _moving(self, said: Mapping[str, Sequence[Said]], like: np.ndarray, order: np.ndarray, k: int) -> Moving:
        marks = [r.value for each in said.values() for one in each for r in one if isinstance(r, Rating)]
        middle = float(np.mean([m for m in marks if m is not None])) if marks else 0.0
        most: list[Moved] = []
        for row in order:
            if len(most) >= k:
                break
            i = self.ids[row]
            most += [Moved(one, _praised(one, i, middle), likeness=float(like[row])) for one in said.get(i, ())]
        return Moving(len({one for each in said.values() for one in each}), None, tuple(most[:k]))


def embedded(model: TransformerReward, exchanges: Sequence[Exchange]) -> np.ndarray:
    """(t, h) float32, whatever the batch within rounding."""
    import torch

    from trueline.reward.backbone import padded

    if (backbone := model.backbone_) is None:
        raise RunError("this reward model has not been fitted; call fit or load first")
    tokens = backbone.encode(exchanges)[0]
    found: dict[int, np.ndarray] = {}
    some: list[int] = []

    def read() -> None:
        inputs, mask = (part.to(backbone.model.device) for part in padded([tokens[i] for i in some], backbone.pad_id))
        with torch.inference_mode():
            hidden = backbone.model.base_model(input_ids=inputs, attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        found.update(zip(some, mean.cpu().numpy(), strict=True))

    for i in sorted(range(len(tokens)), key=lambda i: len(tokens[i])):
        if some and (len(some) == BATCH or (len(some) + 1) * len(tokens[i]) > TOKENS):
            read()
            some = []
        some.append(i)
    if some:
        read()
    return np.stack([found[i] for i in range(len(tokens))])


def _by_answer(snapshot: FeedbackSnapshot, dimension: str, learn_from: str) -> dict[str, list[Said]]:
    """Of each answer what it was learned by: its ratings, and the comparisons that it is in."""
    found: dict[str, list[Said]] = {}
    for said in labels_of(snapshot, dimension):
        one = said[0]
        if isinstance(one, Rating):
            if learn_from != "comparisons":
                found.setdefault(one.completion_id, []).append(said)
        elif learn_from != "ratings":
            for i in (one.a_id, one.b_id):
                found.setdefault(i, []).append(said)
    return found


def _praised(said: Said, answer: str, middle: float) -> bool:
    """Whether people marked it above the mean mark, or preferred it."""
    one = said[0]
    if isinstance(one, Rating):
        return float(np.mean([r.value for r in said if isinstance(r, Rating) and r.value is not None])) > middle
    return (one.preference > 0) == (one.b_id == answer)


def _read(path: Path | None, key: str, n: int) -> np.ndarray | None:
    """None where there is no whole file of this model and these labels."""
    if path is None:
        return None
    try:
        with safe_open(path, "np") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            found = file.get_tensor("vectors")
    except Exception:  # safetensors' own error is no OSError
        return None
    return found if len(found) == n else None


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
