"""What is decided after a round: changes with their reasons, and what is expected of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trueline.loop.facts import Facts

FIGURES: Mapping[str, tuple[str, Callable[[Facts], float | None]]] = {
    "win_rate": ("the win rate against the policy before", lambda f: f.win_rate.value),
    "kl": ("the KL to the base policy, nats an answer,", lambda f: f.kl),
    "entropy": ("the entropy at the end, as a share of that at first,", lambda f: f.entropy),
    "accuracy": ("the reward's held-out accuracy", lambda f: f.accuracy),
    "unsafe": ("the share of unsafe answers", lambda f: None if f.unsafe is None else f.unsafe.value),
    "peak": ("early stops at a held-out peak", lambda f: float(f.peak is not None)),
    "safety": (
        "the change of safety",
        lambda f: f.changes["safety"].value if "safety" in f.changes else None,
    ),
}


@dataclass(frozen=True)
class Expectation:
    """figure: one of `FIGURES`; it is held where the next round's lies within the bounds."""

    figure: str
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        both = (("at least", self.least), ("at most", self.most))
        bounds = [f"{word} {bound:.3g}" for word, bound in both if bound is not None]
        return f"{FIGURES[self.figure][0]} {' and '.join(bounds)}"


@dataclass(frozen=True)
class Change:
    setting: str
    before: Any
    after: Any
    rule: str
    evidence: str
    expects: Expectation


@dataclass(frozen=True)
class Checked:
    """What a change of the round before expected, and what came; None where it could not be told."""

    rule: str
    expected: str
    found: float | None
    held: bool


@dataclass(frozen=True)
class Decision:
    """start_from: the round whose policy the next one starts from, 0: the base; stop: why no round follows, or ""."""

    start_from: int
    changes: tuple[Change, ...] = ()
    checks: tuple[Checked, ...] = ()
    stop: str = ""
