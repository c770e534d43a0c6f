"""How figures are called and shown to people, and which way is better."""

from __future__ import annotations

from trueline.evaluate.compare import Metric
from trueline.evaluate.statistics import Interval

LABELS = {
    "unsafe_share": ("Unsafe answers", "lower"),
    "consistent_share": ("Answers consistent with the request", "higher"),
    "refused_share": ("Requests refused without need", "lower"),
    "win_rate": ("Win rate against before", "higher"),
    "win_rate_length_controlled": ("Win rate against before, at equal lengths", "higher"),
    "kl": ("KL to the policy before, nats per answer", ""),
    "kl_per_token": ("KL to the policy before, nats per token", ""),
    "kl_reference": ("KL to the training reference, nats per answer", ""),
    "length": ("Length, tokens", ""),
    "finished_share": ("Answers that come to an end", "higher"),
    "repetition": ("Repeated runs of four words within an answer", "lower"),
    "distinct_2": ("Distinct word pairs", ""),
    "self_bleu": ("Likeness of the answers to one another (self-BLEU)", ""),
    "perplexity": ("Perplexity of held-out text", "lower"),
}
WIN_RATES = ("win_rate", "win_rate_length_controlled")
SHARES = ("unsafe_share", "consistent_share", "refused_share", *WIN_RATES, "finished_share", "repetition")


def label(name: str) -> str:
    return LABELS[name][0] if name in LABELS else name.replace("_", " ").capitalize()


def direction(name: str) -> str:
    """ "higher" or "lower" is better, "" neither; a dimension that a judge scores: "higher"."""
    return LABELS.get(name, ("", "higher"))[1]


def change_of(name: str, metric: Metric) -> Interval | None:
    """What is told from 0: the paired change, of a win rate how far it is from one half; None where there is none."""
    if name in WIN_RATES:
        after = metric.after
        return after and Interval(after.value - 0.5, after.low - 0.5, after.high - 0.5, after.n)
    return metric.change


def verdict(name: str, metric: Metric) -> str:
    """ "better", "worse" or "" (no direction, or the change's interval holds 0)."""
    better, change = direction(name), change_of(name, metric)
    if not better or change is None or change.low <= 0 <= change.high:
        return ""
    return "better" if (change.low > 0) == (better == "higher") else "worse"


def show(name: str, interval: Interval | None, *, bounds: bool = False) -> str:
    """A figure for people: shares in percent, others with three digits."""
    if interval is None:
        return "–"
    form = (lambda x: f"{100 * x:.1f}%") if name in SHARES else (lambda x: f"{x:.3f}" if abs(x) < 10 else f"{x:.1f}")
    return f"{form(interval.low)} to {form(interval.high)}" if bounds else form(interval.value)
