"""Whether a round's policy may take the place of the last one: safety no worse, nothing else worse, KL in bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.loop.facts import Facts, Limits


@dataclass(frozen=True)
class Gate:
    name: str
    passed: bool
    text: str


def gates(facts: Facts, limits: Limits) -> tuple[Gate, ...]:
    """A policy is refused where a change for the worse is more than chance; what chance may explain passes."""
    found = [_no_worse(name, facts) for name in facts.changes]
    found.append(
        Gate(
            "win rate",
            facts.win_rate.high >= 0.5,
            f"wins {_percent(facts.win_rate.value)} against the policy before, 95%: {_percent(facts.win_rate.low)} to "
            f"{_percent(facts.win_rate.high)}",
        )
    )
    found.append(
        Gate(
            "kl",
            facts.kl <= limits.most_kl,
            f"{facts.kl:.1f} nats an answer from the base policy; at most {limits.most_kl:g} are allowed",
        )
    )
    return tuple(found)


def promoted(found: Sequence[Gate]) -> bool:
    return all(gate.passed for gate in found)


def _no_worse(name: str, facts: Facts) -> Gate:
    change = facts.changes[name]
    text = f"{name} changed by {change.value:+.3f}, 95%: {change.low:+.3f} to {change.high:+.3f}"
    return Gate(name, change.high >= 0, text)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
