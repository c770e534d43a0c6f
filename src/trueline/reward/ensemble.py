"""Several models of one kind, each learned from another draw of the labels: where they differ, the reward is unsure.

Bootstrap by prompt (Efron 1979; Lakshminarayanan et al. 2017 for the neural kind). As a reward the mean, the mean less
one deviation, or the worst of the members (Coste et al. 2023).

Letters: m members, n answers, d dimensions.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores, split_of
from trueline.reward.base import Attribution, FitReport, RewardModel
from trueline.reward.checking import check

KIND = "ensemble"
Combine = Literal["mean", "lower", "worst"]


class Ensemble:
    """members: (m,) fitted models with the same dimensions."""

    def __init__(self, members: Sequence[RewardModel], combine: Combine = "mean") -> None:
        self.members = list(members)
        self.combine = combine
        self.dimensions = self.members[0].dimensions
        self.report_: dict[str, Any] | None = None

    @property
    def temperature(self) -> np.ndarray:
        """(d,) mean over the members."""
        return np.mean([m.temperature for m in self.members], axis=0)

    def fit(self, snapshot: FeedbackSnapshot) -> FitReport:
        """Fit every member on its own bootstrap of the training prompts; the test split is the same for all."""
        started = time.monotonic()
        fits = [member.fit(resampled(snapshot, i)) for i, member in enumerate(self.members)]
        test = snapshot.split("test")
        found = {
            d: check(self, test, d, fits[0].dimensions[d].n_train, float(self.temperature[i]))
            for i, d in enumerate(self.dimensions)
        }
        report = FitReport(found, snapshot.sha256, time.monotonic() - started)
        self.report_ = asdict(report)
        return report

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        """(n, d) values, combined as asked for, and the members' standard deviation."""
        each = np.stack([m.score(exchanges).values for m in self.members])
        mean, std = each.mean(0), each.std(0, ddof=1) if len(each) > 1 else np.zeros(each.shape[1:])
        values = {"mean": mean, "lower": mean - std, "worst": each.min(0)}[self.combine]
        return Scores(self.dimensions, values, std)

    def explain(self, exchange: Exchange) -> Attribution:
        """The members' attributions averaged; what the combination takes off stands as a part of its own."""
        found = [m.explain(exchange) for m in self.members]
        scores = self.score([exchange])
        base = np.mean([f.base for f in found], axis=0)
        parts = []
        for i in range(len(self.dimensions)):
            mean: dict[str, float] = defaultdict(float)
            for attribution in found:
                for name, value in attribution.parts[i].items():
                    mean[name] += value / len(found)
            if self.combine != "mean":
                mean["doubt between the members"] = float(scores.values[0, i] - base[i] - sum(mean.values()))
            parts.append(dict(mean))
        return Attribution(self.dimensions, tuple(float(b) for b in base), tuple(parts))

    def save(self, folder: Path) -> None:
        def fill(pending: Path) -> None:
            for i, member in enumerate(self.members):
                member.save(pending / f"member-{i}")
            head = {"kind": KIND, "members": len(self.members), "combine": self.combine}
            durable.write_json(pending / "model.json", {**head, "fit": self.report_})

        durable.write_folder(folder, fill)

    @classmethod
    def load(cls, folder: Path, load_member: Callable[[Path], RewardModel]) -> Self:
        """Read a saved ensemble; InputError when it is not whole."""
        try:
            head = durable.read_json(folder / "model.json")
            count, combine = int(head["members"]), head["combine"]
            if count < 1 or combine not in ("mean", "lower", "worst"):
                raise ValueError("model.json is not an ensemble's")
            model = cls([load_member(folder / f"member-{i}") for i in range(count)], combine)
            if any(m.dimensions != model.dimensions for m in model.members):
                raise ValueError("its members judge different dimensions")
            model.report_ = head["fit"]
            return model
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: not a whole ensemble ({error}); fit it with `trueline reward`") from error


def resampled(snapshot: FeedbackSnapshot, number: int) -> FeedbackSnapshot:
    """The labels of prompts drawn with replacement: a prompt drawn twice gives its labels twice, one not drawn none.

    Only the training and validation prompts are drawn; member 0 learns from all, as a single model would.
    """
    if number == 0:
        return snapshot
    ids = sorted(i for i, p in snapshot.prompts.items() if split_of(p) != "test")
    rng = np.random.default_rng([71, number])
    drawn = np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids)) if ids else np.zeros(0, dtype=int)
    times = dict(zip(ids, drawn.tolist(), strict=True))
    prompt = {i: c.prompt_id for i, c in snapshot.completions.items()}
    return FeedbackSnapshot(
        snapshot.prompts,
        snapshot.completions,
        tuple(r for r in snapshot.ratings for _ in range(times.get(prompt[r.completion_id], 1))),
        tuple(c for c in snapshot.comparisons for _ in range(times.get(prompt[c.a_id], 1))),
    )
