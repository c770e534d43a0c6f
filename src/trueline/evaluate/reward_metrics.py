"""How good a reward model is on prompts that it never saw: figures by dimension, each with a 95% interval by prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import kendalltau, rankdata

from trueline.evaluate.by_prompt import bootstrap_by_prompt, share_by_prompt
from trueline.evaluate.held_out import ScoredPairs, ScoredRatings
from trueline.evaluate.statistics import Interval
from trueline.reward.calibrate import expected_calibration_error, reliability

Correlation = Callable[[np.ndarray, np.ndarray], float]
ENOUGH = 20
GOOD, BAD = 4, 2
SLOW_RESAMPLES = 300


@dataclass(frozen=True)
class DimensionFigures:
    """None where there is too little to tell: no such labels, fewer than 20 of them, or fewer than 2 prompts.

    accuracy: share of pairs ordered as people did, ties of people left out; a tie of the model is a miss
    accuracy_with_ties: three-way, over all pairs: a margin within `tie_threshold` says "tie"
    auc: of telling answers rated 4 or more from those rated 2 or less; pearson, spearman, kendall: with mean ratings
    brier, calibration_error: of P(preferred) at the model's temperature; reliability: (probability, share, number)
    length_correlation: Spearman of scores with length; longer_people, longer_model: how often the longer is preferred
    """

    n_pairs: int
    n_ties: int
    n_rated: int
    accuracy: Interval | None
    accuracy_with_ties: Interval | None
    tie_threshold: float | None
    auc: Interval | None
    pearson: Interval | None
    spearman: Interval | None
    kendall: Interval | None
    brier: Interval | None
    calibration_error: Interval | None
    reliability: tuple[tuple[float, float, int], ...]
    length_correlation: Interval | None
    longer_people: Interval | None
    longer_model: Interval | None


def figures(
    pairs: ScoredPairs,
    rated: ScoredRatings,
    temperature: float = float("nan"),
    tie_threshold: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> DimensionFigures:
    """Every figure of one dimension. temperature: the model's, nan where not known."""
    won = pairs.preference != 0
    decided = [p for p, w in zip(pairs.prompts, won, strict=True) if w]
    towards = (pairs.margin * pairs.preference)[won]
    longer = (pairs.longer * pairs.preference)[won]
    chosen = np.sign(pairs.margin) * pairs.longer

    def share(prompts: list[str], hits: np.ndarray) -> Interval | None:
        return share_by_prompt(prompts, hits, resamples, seed) if len(hits) else None

    def rating(statistic: Correlation, x: np.ndarray, y: np.ndarray, most: int = resamples) -> Interval | None:
        if len(x) < ENOUGH:
            return None
        return bootstrap_by_prompt(rated.prompts, lambda r: statistic(x[r], y[r]), min(most, resamples), seed)

    known = np.isfinite(temperature) and len(towards) >= ENOUGH
    both, hits = both_orders(towards, temperature)
    return DimensionFigures(
        n_pairs=int(won.sum()),
        n_ties=int((~won).sum()),
        n_rated=len(rated.ids),
        accuracy=share(decided, towards > 0),
        accuracy_with_ties=None if tie_threshold is None else share(pairs.prompts, three_way(pairs, tie_threshold)),
        tie_threshold=tie_threshold,
        auc=_auc_of_ratings(rated, resamples, seed),
        pearson=rating(pearson, rated.score, rated.mean),
        spearman=rating(spearman, rated.score, rated.mean),
        kendall=rating(kendall, rated.score, rated.mean, SLOW_RESAMPLES),
        brier=share(decided, (1 - expit(towards / temperature)) ** 2) if known else None,
        calibration_error=_calibration_error(decided, towards, temperature, resamples, seed) if known else None,
        reliability=tuple(reliability(both, hits)) if known else (),
        length_correlation=rating(spearman, rated.score, rated.log_length),
        longer_people=share([p for p, x in zip(decided, longer, strict=True) if x], (longer > 0)[longer != 0]),
        longer_model=share([p for p, x in zip(pairs.prompts, chosen, strict=True) if x], (chosen > 0)[chosen != 0]),
    )


def three_way(pairs: ScoredPairs, threshold: float) -> np.ndarray:
    """(p,) bool: the model says what people say, of "a", "tie" and "b"; it says "tie" within the threshold."""
    said = np.where(np.abs(pairs.margin) <= threshold, 0.0, np.sign(pairs.margin))
    return np.asarray(said == pairs.preference)


def tie_threshold(pairs: ScoredPairs) -> float:
    """The margin within which to say "tie", which orders most of these pairs rightly; 0 where nobody said "tie".

    Meant for the validation split, so that the test split says how good it is.
    """
    if not (pairs.preference == 0).any():
        return 0.0
    size = np.abs(pairs.margin)
    order = np.argsort(size, kind="stable")
    right = np.sign(pairs.margin) == pairs.preference
    gain = np.where(pairs.preference == 0, 1, 0) - (right & (pairs.preference != 0))
    total = np.concatenate([[0], np.cumsum(gain[order])])
    # A threshold takes in all margins of its size, so that only the last of equal ones can be the border.
    border = np.concatenate([[True], np.append(np.diff(size[order]) > 0, True)])
    best = int(np.argmax(np.where(border, total, -np.inf)))
    return float(size[order][best - 1]) if best else 0.0


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """P(a positive scores above a negative), ties half (Mann and Whitney 1947); nan where a class is missing."""
    hits = int(positive.sum())
    if not 0 < hits < len(positive):
        return float("nan")
    return float((rankdata(scores)[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(positive) - hits)))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """nan where one of them does not vary."""
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 1e-12 else float("nan")


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return pearson(rankdata(x), rankdata(y))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """tau-b, which corrects for ties."""
    return float(kendalltau(x, y).statistic)


def both_orders(towards: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """(2p,) P(preferred) and whether it was, from (p,) margins towards the preferred: no side is first by nature."""
    p = expit(np.concatenate([towards, -towards]) / temperature)
    return p, np.repeat([1.0, 0.0], len(towards))


def _calibration_error(
    prompts: list[str], towards: np.ndarray, temperature: float, resamples: int, seed: int
) -> Interval | None:
    def statistic(rows: np.ndarray) -> float:
        return expected_calibration_error(*both_orders(towards[rows], temperature))

    return bootstrap_by_prompt(prompts, statistic, resamples, seed)


def _auc_of_ratings(rated: ScoredRatings, resamples: int, seed: int) -> Interval | None:
    clear = (rated.raw >= GOOD) | (rated.raw <= BAD)
    score, good = rated.score[clear], rated.raw[clear] >= GOOD
    if len(score) < ENOUGH:
        return None
    prompts = [p for p, c in zip(rated.prompts, clear, strict=True) if c]
    return bootstrap_by_prompt(prompts, lambda rows: auc(score[rows], good[rows]), resamples, seed)
