"""95% intervals of any statistic over labels that come in groups: the bootstrap draws prompts, not labels.

Labels of one prompt are alike, so that drawing them one by one would make intervals too narrow (Field and Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trueline.evaluate.statistics import Interval, wilson

Statistic = Callable[[np.ndarray], float]


def bootstrap_by_prompt(
    prompts: Sequence[str], statistic: Statistic, resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """The statistic of n labels with its percentile interval; None where it cannot be told, or with 1 prompt.

    prompts: (n,) the prompt of each label; statistic: from (k,) row numbers, with repeats, to a number or nan.
    """
    names, group = np.unique(np.asarray(prompts, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        return None
    rows = np.arange(len(group))
    value = statistic(rows)
    if not np.isfinite(value):
        return None
    rng = np.random.default_rng([41, seed])
    found = np.empty(resamples)
    for i in range(resamples):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        found[i] = statistic(np.repeat(rows, times[group]))
    if np.isfinite(found).mean() < 0.9:
        return None
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Interval(float(value), float(low), float(high), len(names))


def share_by_prompt(prompts: Sequence[str], hits: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval | None:
    """The mean of (n,) values, such as hits; where all are 0 or all 1, Wilson's interval with a prompt counted once."""
    values = np.asarray(hits, dtype=np.float64)
    found = bootstrap_by_prompt(prompts, lambda rows: float(values[rows].mean()), resamples, seed)
    if found is not None and found.low == found.high and found.value in (0.0, 1.0):
        return wilson(round(found.value * found.n), found.n)
    return found
