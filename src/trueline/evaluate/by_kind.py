"""The same figures for each kind of prompt, where prompts say of what kind they are (`prompt_meta.kind`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trueline.evaluate.compare import Metric
from trueline.evaluate.record import Verdicts
from trueline.evaluate.statistics import bootstrap_mean, paired_difference
from trueline.records import Prompt

FEWEST, MOST_KINDS = 5, 12


def by_kind(
    prompts: Sequence[Prompt], before: Verdicts, after: Verdicts, resamples: int = 2000, seed: int = 0
) -> dict[str, Metric]:
    """<dimension>_<kind>, of the judge's first dimension alone. Nothing for a kind with fewer than 5 prompts, nor where
    there are more than 12 kinds: then they are not kinds.
    """
    kinds = np.array([str(p.meta.get("kind", "")) for p in prompts])
    counts = Counter(k for k in kinds.tolist() if k)
    if len(counts) > MOST_KINDS or not before.scores.dimensions:
        return {}
    found = {}
    for kind in sorted(k for k, n in counts.items() if n >= FEWEST):
        was, now = (side.scores.values[kinds == kind, 0] for side in (before, after))
        change = paired_difference(was, now)
        found[f"{before.scores.dimensions[0]}_{kind}"] = Metric(
            bootstrap_mean(was, resamples, seed), bootstrap_mean(now, resamples, seed), change
        )
    return found
