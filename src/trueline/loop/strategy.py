"""What to do in the next round, as a pure function of what the rounds so far were found to be."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from trueline.loop.decision import FIGURES, Change, Checked, Decision
from trueline.loop.facts import Facts, Limits
from trueline.loop.rules import RULES

NO_GAIN_ROUNDS = 2


def decide(history: Sequence[Facts], limits: Limits, before: Decision | None = None) -> Decision:
    """The decision after the last round of `history`; `before`: the one that it ran by.

    Rules are asked in their order; a setting is changed by the first that wants to.
    """
    last = history[-1]
    kept = [f.number for f in history if f.promoted]
    start = kept[-1] if kept else 0
    checks = () if before is None else tuple(_checked(change, last) for change in before.changes)
    if stop := _stop(history, limits):
        return Decision(start, (), checks, stop)
    found: dict[str, Change] = {}
    for name, rule in RULES.items():
        if name in limits.forbid or (wanted := rule(history, limits)) is None:
            continue
        settings, evidence, expects = wanted
        for setting, value in settings.items():
            old = last.settings[setting]
            if setting not in limits.pin and setting not in found and value != old:
                found[setting] = Change(setting, old, _short(value), name, evidence, expects)
    return Decision(start, tuple(found.values()), checks)


def _short(value: Any) -> Any:
    """Four digits are enough for a setting."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _checked(change: Change, facts: Facts) -> Checked:
    expects = change.expects
    value = FIGURES[expects.figure][1](facts)
    low, high = (-inf if expects.least is None else expects.least), (inf if expects.most is None else expects.most)
    held = value is not None and low <= value <= high
    return Checked(change.rule, str(expects), value, held)


def _stop(history: Sequence[Facts], limits: Limits) -> str:
    idle = history[-NO_GAIN_ROUNDS:]
    if len(idle) == NO_GAIN_ROUNDS and not any(f.gained for f in idle):
        last = idle[-1].win_rate
        return (
            f"{NO_GAIN_ROUNDS} rounds in a row were no better than the policy before by more than chance (the last one "
            f"won {100 * last.value:.1f}%, 95%: {100 * last.low:.1f} to {100 * last.high:.1f}%)"
        )
    if limits.labels and history[-1].labels >= limits.labels:
        return f"the {limits.labels} labels of the budget are used"
    return ""
