"""From a model's raw output to a reward: freed of length where asked for, then mean 0 and deviation 1.

Letters: n answers, d dimensions, k knots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trueline.records import Exchange
from trueline.reward.text import words

KNOTS, ANSWERS_PER_KNOT = 20, 25


@dataclass(frozen=True)
class Scale:
    """reward = (raw - length's share - centre) / spread.

    centre, spread (d,); knots (k,): log lengths; levels (d, k): what length predicts at each, 0 without length control;
    temperature (d,): P(b preferred to a) = sigmoid((reward of b - reward of a) / temperature); nan where not known.
    """

    centre: np.ndarray
    spread: np.ndarray
    knots: np.ndarray
    levels: np.ndarray
    temperature: np.ndarray

    @classmethod
    def fit(cls, raw: np.ndarray, lengths: np.ndarray, *, length_control: bool) -> Scale:
        """raw (n, d) and log lengths (n,) of the training answers; the temperature is set later, on held-out pairs."""
        knots, levels = np.zeros(1), np.zeros((raw.shape[1], 1))
        if length_control:
            knots = _knots(lengths)
            levels = np.stack([_levels(column, lengths, knots) for column in raw.T])
        rest = raw - _predicted(lengths, knots, levels)
        spread = rest.std(0)
        nan = np.full(raw.shape[1], np.nan)
        return cls(rest.mean(0), np.where(spread > 1e-12, spread, 1.0), knots, levels, nan)

    def apply(self, raw: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(n, d) rewards."""
        return (raw - _predicted(lengths, self.knots, self.levels) - self.centre) / self.spread

    def length_parts(self, lengths: np.ndarray) -> np.ndarray:
        """(n, d): what the length takes from each reward, for explanations."""
        return -_predicted(lengths, self.knots, self.levels) / self.spread

    def with_temperature(self, temperature: Sequence[float]) -> Scale:
        return replace(self, temperature=np.asarray(temperature, dtype=np.float64))

    def arrays(self) -> dict[str, np.ndarray]:
        """For safetensors, each name with `scale_` before it."""
        return {f"scale_{name}": np.ascontiguousarray(value) for name, value in vars(self).items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Scale:
        return cls(**{k.removeprefix("scale_"): v for k, v in arrays.items() if k.startswith("scale_")})


def log_lengths(exchanges: Sequence[Exchange]) -> np.ndarray:
    """(n,) log(1 + words); a Chinese character is a word."""
    return np.array([np.log1p(len(words(e.completion.text))) for e in exchanges], dtype=np.float64)


def _knots(lengths: np.ndarray) -> np.ndarray:
    """Quantiles, so that each stretch has some answers."""
    count = int(np.clip(len(lengths) // ANSWERS_PER_KNOT, 1, KNOTS))
    return np.unique(np.quantile(lengths, (np.arange(count) + 0.5) / count))


def _levels(raw: np.ndarray, lengths: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(k,) least squares of a piecewise linear curve through the knots, which the ends continue flat."""
    basis = np.stack([np.interp(lengths, knots, row) for row in np.eye(len(knots))], axis=1)
    return np.linalg.lstsq(basis, raw, rcond=None)[0]


def _predicted(lengths: np.ndarray, knots: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(lengths, knots, row) for row in levels], axis=1)
