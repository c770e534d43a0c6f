"""Which changes of a report stand although so many are looked at: of twenty, one is "better" or "worse" by chance."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

from trueline.evaluate.compare import Metric
from trueline.evaluate.statistics import Interval
from trueline.evaluate.wording import change_of, direction
from trueline.feedback.audit.statistics import holm
from trueline.feedback.quality.interval import Z

LEVEL = 0.05


def p_value(change: Interval) -> float:
    """Two-sided p that a change is 0, from its interval (Altman and Bland 2011, "How to obtain the P value from a
    confidence interval"): normal, with the deviation that the side towards 0 has, so that p < .05 exactly where the
    interval leaves out 0.
    """
    if change.value == 0:
        return 1.0
    side = change.value - change.low if change.value > 0 else change.high - change.value
    return 2 * NormalDist().cdf(-Z * abs(change.value) / side) if side > 0 else 0.0


def corrected(metrics: Mapping[str, Metric]) -> dict[str, bool]:
    """For each metric that may be called better or worse, whether its change stands: by Holm (1979) one or more that
    should not stand do so in at most 5% of reports.
    """
    changes = {name: change_of(name, metric) for name, metric in metrics.items() if direction(name)}
    p = {name: p_value(change) for name, change in changes.items() if change is not None}
    return dict(zip(p, (holm(list(p.values()), [1.0] * len(p)) < LEVEL).tolist(), strict=True))
