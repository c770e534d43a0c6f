"""All versions of a policy on one scale: Bradley and Terry (1952) over the base and every round.

P(a beats b) = σ(s_a - s_b), a tie half a win for each; the base has strength 0, so that σ(s_a) is the chance that a's
answer is better than the base's.

Letters: n prompts, v versions, the base first; r resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from trueline.errors import InputError
from trueline.evaluate.statistics import Interval, bca, resampled_means, through, wins

MOST_STEPS, LONGEST, TOLERANCE = 100, 2.0, 1e-10
DRAWN = 0.5  # wins that each of two versions that met is given: finite strengths and little bias (Haldane 1956)


@dataclass(frozen=True)
class Ranked:
    """strength: log odds against the base; win_probability: against the base. The base's own are exact."""

    version: str
    strength: Interval
    win_probability: Interval


def wins_by_scores(scores: np.ndarray) -> np.ndarray:
    """(n, v, v) from (n, v) scores of the versions' answers to each prompt: [i, a, b] is 1 where a beats b there, 0.5
    where they tie; nan in a score: they have not met there.
    """
    won = wins(scores[:, None, :], scores[:, :, None])
    met = np.isfinite(scores[:, None, :]) & np.isfinite(scores[:, :, None]) & ~np.eye(scores.shape[1], dtype=bool)
    return np.where(met, won, 0.0)


def ranking(versions: Sequence[str], won: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[Ranked, ...]:
    """The versions in their order, with intervals that resample prompts, `bca`.

    won: (n, v, v) how often a beat b on each prompt, counting a tie as half a win of each. InputError: a version has
    met none that leads to the base.
    """
    n, v = len(won), len(versions)
    total = won.sum(0)
    _require_connected(versions, total + total.T)
    given = DRAWN * ((total + total.T) > 0)
    strengths = fit_bradley_terry((total + given)[None])[0]
    drawn = n * resampled_means(won.reshape(n, -1), resamples, seed).reshape(-1, v, v)
    draws = fit_bradley_terry(drawn + given)
    influence = _influence(won, total + given, strengths)
    found = [Interval(0.0, 0.0, 0.0, n)]
    found += [bca(float(strengths[a]), draws[:, a], influence[:, a]) for a in range(1, v)]
    chance = [through(lambda x: float(expit(np.array(x))), strength) for strength in found]
    return tuple(Ranked(*row) for row in zip(versions, found, chance, strict=True))


def fit_bradley_terry(won: np.ndarray) -> np.ndarray:
    """(r, v) likeliest strengths of (r, v, v) counts of wins, each by Newton's steps; the first version's is 0."""
    strengths = np.zeros(won.shape[:2])
    met = won + won.swapaxes(1, 2)
    for _ in range(MOST_STEPS):
        chance = expit(strengths[:, :, None] - strengths[:, None, :])
        pull = (won - met * chance).sum(2)
        step = np.linalg.solve(_information(met, chance), pull[:, 1:, None])[..., 0]
        longest = np.abs(step).max(1, keepdims=True, initial=0.0)
        strengths[:, 1:] += step * np.minimum(1.0, LONGEST / np.maximum(longest, 1e-300))
        if longest.max() < TOLERANCE:
            break
    return strengths


def _information(met: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(r, v - 1, v - 1) of the strengths but the base's."""
    weight = met * chance * (1 - chance)
    return (np.eye(met.shape[1]) * weight.sum(2)[:, :, None] - weight)[:, 1:, 1:]


def _influence(won: np.ndarray, total: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """(n, v) how each prompt pulls each strength."""
    chance = expit(strengths[:, None] - strengths[None, :])
    pull = (won - (won + won.swapaxes(1, 2)) * chance).sum(2)[:, 1:]
    inverse = np.linalg.inv(_information((total + total.T)[None], chance[None])[0])
    return np.concatenate([np.zeros((len(won), 1)), pull @ inverse], axis=1)


def _require_connected(versions: Sequence[str], met: np.ndarray) -> None:
    component = connected_components(met > 0, directed=False)[1]
    apart = [name for name, c in zip(versions, component, strict=True) if c != component[0]]
    if apart:
        raise InputError(
            f"{', '.join(apart)}: never compared with {versions[0]}, nor with a version that was; compare the answers "
            "of both to the same prompts"
        )
