"""A round's decision.json: what it was found to be, the gates, what changes and why, and what was expected of it.

It is written last, so that a round without it is not done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.statistics import Interval
from trueline.loop.decision import Change, Checked, Decision, Expectation
from trueline.loop.facts import Facts, Limits
from trueline.loop.gates import Gate, gates, promoted
from trueline.loop.strategy import decide

FILE = "decision.json"


@dataclass(frozen=True)
class Decided:
    """settings: all that were changed so far, by dotted name; seconds: of work on the round."""

    facts: Facts
    gates: tuple[Gate, ...]
    decision: Decision
    settings: Mapping[str, Any]
    seconds: float


def limits_of(config: Config) -> Limits:
    loop = config.loop
    return Limits(loop.most_kl, config.align.constraint.limit, loop.labels, loop.pin, loop.forbid)


def decide_round(facts: Facts, before: Sequence[Decided], config: Config, seconds: float) -> Decided:
    """What follows from a round and those before it. Where the loop is not steered nothing changes, and nothing stops
    it; the gates hold all the same.
    """
    limits = limits_of(config)
    found = gates(facts, limits)
    facts = replace(facts, promoted=promoted(found))
    history = [*(d.facts for d in before), facts]
    last = before[-1] if before else None
    decision = decide(history, limits, last.decision if last else None)
    if not config.loop.steer:
        decision = Decision(decision.start_from)
    settings = {**(last.settings if last else {}), **{c.setting: c.after for c in decision.changes}}
    return Decided(facts, found, decision, settings, seconds)


def write_decision(folder: Path, made: Decided) -> None:
    row = {
        "round": made.facts.number,
        "promoted": made.facts.promoted,
        "gates": [asdict(gate) for gate in made.gates],
        "changes": [
            {**asdict(c), "expects": str(c.expects), "expectation": asdict(c.expects)} for c in made.decision.changes
        ],
        "checks": [asdict(c) for c in made.decision.checks],
        "stop": made.decision.stop,
        "start_from": made.decision.start_from,
        "settings": dict(made.settings),
        "facts": asdict(made.facts),
        "seconds": made.seconds,
    }
    durable.write_json(folder / FILE, row)


def read_decision(folder: Path) -> Decided:
    """InputError where it cannot be read."""
    path = folder / FILE
    try:
        row = durable.read_json(path)
        return Decided(
            _facts(row["facts"]),
            tuple(Gate(**gate) for gate in row["gates"]),
            Decision(
                row["start_from"],
                tuple(_change(c) for c in row["changes"]),
                tuple(Checked(**c) for c in row["checks"]),
                row["stop"],
            ),
            row["settings"],
            row["seconds"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, and the round is decided again") from error


def _change(row: Mapping[str, Any]) -> Change:
    kept = {name: row[name] for name in ("setting", "before", "after", "rule", "evidence")}
    return Change(**kept, expects=Expectation(**row["expectation"]))


def _facts(row: Mapping[str, Any]) -> Facts:
    intervals = {
        "win_rate": Interval(**row["win_rate"]),
        "changes": {d: Interval(**found) for d, found in row["changes"].items()},
        "unsafe": None if row["unsafe"] is None else Interval(**row["unsafe"]),
    }
    return Facts(**{**row, **intervals})
