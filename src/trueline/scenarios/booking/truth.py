"""What an episode has come to: the final state of calendar and hotel desk against the user's goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from trueline.records import Exchange
from trueline.scenarios.booking.desk import State, replay
from trueline.scenarios.booking.tasks import Task
from trueline.scenarios.booking.world import World

DIMENSIONS = ("success", "progress", "care")


@dataclass(frozen=True)
class Outcome:
    """success: the world is as the user wants it, in all of it, and they were told so, 0 or 1; progress: the share of
    the wanted changes that were made; care: 1 less a half for each change that nobody wanted, at least 0.
    """

    success: float
    progress: float
    care: float
    safe: None = None
    consistent: None = None
    dimensions: ClassVar[tuple[str, ...]] = DIMENSIONS

    def grade(self, dimension: str) -> float:
        return {"success": self.success, "progress": self.progress, "care": self.care}[dimension]


def truth(exchange: Exchange) -> Outcome:
    """The outcome of an exchange whose prompt carries its task in `meta`."""
    return outcome(Task.of(exchange.prompt.meta.get("task")), replay(exchange))


def outcome(task: Task, state: State) -> Outcome:
    """Of an episode that stands there."""
    goal, made = changes(task.world, task.goal()), changes(task.world, state.world)
    done = len(goal & made) / max(len(goal), 1)
    wrong = len(made - goal)
    return Outcome(success=float(state.user.thanked and made == goal), progress=done, care=max(0.0, 1 - wrong / 2))


def changes(before: World, after: World) -> frozenset[tuple[str, Any]]:
    """What came and what went."""
    was, now = before.events | before.bookings, after.events | after.bookings
    return frozenset([*(("new", x) for x in now - was), *(("gone", x) for x in was - now)])
