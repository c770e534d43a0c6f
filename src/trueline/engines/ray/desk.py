"""Where the learners leave word for the process that started them."""

from __future__ import annotations

from typing import Any

from trueline.errors import RunError, TruelineError

TRIES = 5


class Desk:
    """An actor beside the driver. Starts without a step between them are counted: what fails each time at the same
    place would be started again for ever."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._failure: TruelineError | None = None
        self._trouble = "a learner's process ended by itself"
        self._starts = 0

    def start(self) -> None:
        self._starts += 1
        if self._starts > TRIES and self._failure is None:
            self._failure = RunError(
                f"the learners were started {TRIES} times without one more step ({self._trouble}); mend it and go on "
                "with `trueline resume`"
            )

    def add(self, row: dict[str, Any]) -> TruelineError | None:
        """Returns what the learners are to stop for, if anything."""
        self._starts = 0
        self._rows.append(row)
        return self._failure

    def rows(self, after: int) -> list[dict[str, Any]]:
        return self._rows[after:]

    def trouble(self, what: str) -> None:
        self._trouble = what

    def fail(self, error: TruelineError) -> None:
        self._failure = self._failure or error

    def failure(self) -> TruelineError | None:
        return self._failure
