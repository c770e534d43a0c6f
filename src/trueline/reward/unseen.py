"""Scores of answers by models that learned nothing from their prompts, not even features: what a temperature rests on.

Features that have seen a prompt fit it: the bases of prompt x answer spread its answers wider than those of a new one,
and the temperature would come out half as high again (seen at 1,500 comparisons). Letters: n answers, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trueline.records import Exchange
from trueline.reward.design import Design
from trueline.reward.labels import Pairs, Targets
from trueline.reward.solvers import Problem, fold_of

# A model of fewer labels is worse, and would give a temperature too high: four fifths at least are learned from, and
# of many labels all but some 2,000. About 1,000 labels are scored: the temperature of fewer is noisy.
FOLDS, FOLD_LABELS, ENOUGH_LABELS = 5, 2000, 1000


def unseen_scores(
    exchanges: Sequence[Exchange],
    place: Mapping[str, int],
    labels: Sequence[Targets | Pairs],
    penalties: Sequence[float],
    kind: str,
    design_without: Callable[[np.ndarray], Design],
) -> np.ndarray:
    """(n, d) raw scores, nan for the answers of folds that were not held out.

    place: the row of each answer; design_without: the features of all answers, learned from those where (n,) is true.
    """
    most = max(len(each.groups) for each in labels)
    parts = max(FOLDS, most // FOLD_LABELS)
    fold = fold_of([g for each in labels for g in each.groups], parts)
    of_row = np.array([fold.get(e.completion.prompt_id, -1) for e in exchanges])
    found = np.full((len(exchanges), len(labels)), np.nan)
    for held in range(min(parts, len(fold), -(-ENOUGH_LABELS * parts // most))):
        rows = of_row == held
        design = design_without(~rows)
        for i, (each, penalty) in enumerate(zip(labels, penalties, strict=True)):
            seen = np.array([fold[g] for g in each.groups]) != held
            if seen.any():
                w, b = Problem.of(design, place, each, kind).solve(penalty, seen)
                found[rows, i] = design.rows(rows) @ w + b
    return found
