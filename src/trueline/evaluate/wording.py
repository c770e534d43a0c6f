"""How figures are called and shown to people, and which way is better."""

from __future__ import annotations

from trueline.evaluate.compare import Metric
from trueline.evaluate.statistics import Interval

LABELS = {
    "unsafe_share": ("Unsafe answers", "lower"),
    "consistent_share": ("Answers consistent with the request", "higher"),
    "win_rate": ("Win rate against before", "higher"),
    "kl": ("KL to the policy before, nats per answer", ""),
    "length": ("Length, tokens", ""),
    "distinct_2": ("Distinct word pairs", ""),
    "perplexity": ("Perplexity of held-out text", "lower"),
}
SHARES = ("unsafe_share", "consistent_share", "win_rate")


def label(name: str) -> str:
    return LABELS[name][0] if name in LABELS else name.replace("_", " ").capitalize()


def verdict(name: str, metric: Metric) -> str:
    """ "better", "worse" or "" (no direction, or the change's interval holds 0)."""
    better = LABELS.get(name, ("", "higher"))[1]
    if name == "win_rate":
        change = metric.after and Interval(0, metric.after.low - 0.5, metric.after.high - 0.5, metric.after.n)
    else:
        change = metric.change
    if not better or change is None or change.low <= 0 <= change.high:
        return ""
    return "better" if (change.low > 0) == (better == "higher") else "worse"


def show(name: str, interval: Interval | None, *, bounds: bool = False) -> str:
    """A figure for people: shares in percent, others with three digits."""
    if interval is None:
        return "–"
    form = (lambda x: f"{100 * x:.1f}%") if name in SHARES else (lambda x: f"{x:.3f}" if abs(x) < 10 else f"{x:.1f}")
    return f"{form(interval.low)} to {form(interval.high)}" if bounds else form(interval.value)
