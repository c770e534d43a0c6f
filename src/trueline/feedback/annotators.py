"""Simulated annotators for scenarios whose truth is known: each with a noise, a strictness and a bias of their own.

Their judgements are marked simulated wherever they appear.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trueline.records import DIMENSIONS, Annotator, Comparison, Exchange, Rating

USUAL_WORDS = 18


@dataclass(frozen=True)
class SimulatedAnnotator:
    """noise: standard deviation in points of the 1..5 scale; strictness: points taken off every mark;
    length_bias: points for every 10 words beyond 18; leniency: points a dimension.
    """

    name: str
    noise: float = 0.5
    strictness: float = 0.0
    length_bias: float = 0.0
    leniency: Mapping[str, float] = field(default_factory=dict)

    @property
    def annotator(self) -> Annotator:
        return Annotator(self.name, simulated=True)

    def rate(self, exchange: Exchange, dimension: str, truth: float, seed: int) -> Rating:
        """A mark 1..5 for a true grade in 0..1."""
        felt = self._felt(exchange, dimension, truth) + self._error(seed, dimension, exchange.completion.id)
        return Rating(exchange.completion.id, dimension, int(np.clip(round(felt), 1, 5)), self.annotator)

    def compare(
        self, a: Exchange, b: Exchange, dimension: str, truth_a: float, truth_b: float, seed: int
    ) -> Comparison:
        """A preference -3 (A much better) .. 3: one step for each 4/3 points between what is felt of the two."""
        difference = self._felt(b, dimension, truth_b) - self._felt(a, dimension, truth_a)
        difference += self._error(seed, dimension, a.completion.id, b.completion.id) * np.sqrt(2)
        preference = int(np.clip(round(difference * 0.75), -3, 3))
        bad = max(truth_a, truth_b) < 0.25
        return Comparison(a.completion.id, b.completion.id, dimension, preference, self.annotator, bad)

    def _felt(self, exchange: Exchange, dimension: str, truth: float) -> float:
        words = len(exchange.completion.text.split())
        return (
            1
            + 4 * truth
            - self.strictness
            + self.leniency.get(dimension, 0.0)
            + self.length_bias * (words - USUAL_WORDS) / 10
        )

    def _error(self, *key: int | str) -> float:
        """Keyed noise: the same judgement of the same text, whenever it is asked for."""
        digest = hashlib.blake2b(repr((self.name, *key)).encode(), digest_size=16).digest()
        rng = np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))
        return float(rng.normal(0, self.noise))


def panel(n: int, seed: int, dimensions: tuple[str, ...] = DIMENSIONS) -> list[SimulatedAnnotator]:
    """n different people, the same for the same seed."""
    rng = np.random.default_rng([17, seed])
    return [
        SimulatedAnnotator(
            name=f"sim-{i + 1:02d}",
            noise=float(rng.uniform(0.3, 0.7)),
            strictness=float(rng.uniform(-0.4, 0.4)),
            length_bias=float(rng.uniform(-0.05, 0.15)),
            leniency={d: float(rng.uniform(-0.2, 0.2)) for d in dimensions},
        )
        for i in range(n)
    ]
