"""Items that a person was shown again, their sides changed: do they say the same, and does one side win both times?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.interval import Interval, wilson
from trueline.feedback.quality.votes import Kind, Value, same


@dataclass(frozen=True)
class Repeat:
    """What a person said of an item at first and again, each in the sides as shown: a preference > 0 is for the right.

    flipped: whether the sides were the other way round the second time.
    """

    item: str
    annotator: str
    first: Value
    again: Value
    flipped: bool = True


@dataclass(frozen=True)
class Consistency:
    """same: share judged the same; one_sided: share of flipped repeats in which the same side won both times;
    left: share of those in which it was the left, .5 without bias whatever the answers are. All Wilson's; None of 0.
    """

    annotator: str
    same: Interval
    one_sided: Interval | None
    left: Interval | None


def consistency(repeats: Sequence[Repeat], kind: Kind) -> tuple[Consistency, ...]:
    """One row a person, by name. Only preferences have sides, and are turned where the answers were."""
    by_person: dict[str, list[Repeat]] = defaultdict(list)
    for r in repeats:
        by_person[r.annotator].append(r)
    return tuple(_of(name, by_person[name], kind) for name in sorted(by_person))


def _of(name: str, repeats: Sequence[Repeat], kind: Kind) -> Consistency:
    held = [same(kind, r.first, _in_first_order(r, kind)) for r in repeats]
    flipped = [r for r in repeats if r.flipped] if kind == "preference" else []
    sides = np.array([(float(r.first), float(r.again)) for r in flipped]).reshape(-1, 2)
    left, right = int((sides < 0).all(1).sum()), int((sides > 0).all(1).sum())
    return Consistency(
        name,
        wilson(sum(held), len(held)),
        wilson(left + right, len(sides)) if len(sides) else None,
        wilson(left, left + right) if left + right else None,
    )


def _in_first_order(r: Repeat, kind: Kind) -> Value:
    turn = kind == "preference" and r.flipped and not isinstance(r.again, str)
    return -r.again if turn else r.again  # type: ignore[operator]
