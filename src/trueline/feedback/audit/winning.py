"""How often one kind of answer wins over the other kind, with its interval and test, for many kinds at once.

Letters: n comparisons, c prompts, k kinds.
"""

from __future__ import annotations

import numpy as np

from trueline.feedback.audit.findings import Figure
from trueline.feedback.audit.statistics import shares, sign_flip, sums
from trueline.feedback.audit.tables import PairTable


def win_rates(pairs: PairTable, sides: np.ndarray, least: int, resamples: int) -> list[tuple[Figure, float] | None]:
    """(k) shares and two-sided p, that they are 50%; None where fewer than `least` comparisons tell.

    sides (n, k): +1 where b is of the kind and a is not, -1 the other way round, 0 else. Ties do not tell.
    """
    told = (sides != 0) & (pairs.value != 0)[:, None]
    wins = told & (np.sign(pairs.value)[:, None] == sides)
    hits, of = (sums(x.astype(np.float64), pairs.prompt) for x in (wins, told))
    n = told.sum(0)
    enough = np.flatnonzero(n >= least)
    found: list[tuple[Figure, float] | None] = [None] * sides.shape[1]
    if len(enough):
        hits, of = hits[:, enough], of[:, enough]
        p = sign_flip(hits - of / 2)
        bounds = shares(hits, of, resamples).tolist()
        for j, k in enumerate(enough.tolist()):
            found[k] = Figure(bounds[0][j], bounds[1][j], bounds[2][j], int(n[k]), "share", 0.5), float(p[j])
    return found
