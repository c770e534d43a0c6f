"""What goes to a person and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trueline.errors import InputError
from trueline.records import PREFERENCE_VALUES, RATING_VALUES, Completion, Prompt

OVERALL = "overall"  # the dimension of a preference that is not about one dimension
Marks = Mapping[str, int | None]


class Refused(InputError):
    """A request about the queue that cannot be done; status is HTTP's, details go to the page."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.details = status, details


@dataclass(frozen=True)
class Task:
    """An item as one person sees it: one answer, or two with sides chosen by the server (left first).

    again: they have judged it before, on the other side; draft: what they had written when the lease ran out.
    """

    id: int
    item_id: str
    prompt: Prompt
    answers: tuple[Completion, ...]
    leased_until: float
    again: bool = False
    blurred: bool = False
    draft: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Judgement:
    """What a person says of a task, in the sides as they were shown.

    preference: -3 (left much better) to 3 (right much better), None where one answer was rated or both are bad;
    marks: for each answer shown, 1 to 5 or None ("not applicable") in every dimension; seconds: time on the task.
    """

    shown: tuple[str, ...]
    preference: int | None = None
    both_bad: bool = False
    marks: tuple[Marks, ...] = ()
    reasons: tuple[str, ...] = ()
    rationale: str = ""
    seconds: float = 0.0
    guidelines: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def check(self, task_answers: tuple[str, ...], dimensions: tuple[str, ...], *, rated: bool) -> None:
        """Refused (422) with the field named where something is missing or out of range; 409 where the sides differ."""
        if self.shown != task_answers:
            raise Refused(409, "shown: these are not the answers of this task in its order; load it again")
        pair = len(task_answers) == 2
        if pair and self.preference is None and not self.both_bad:
            raise _missing("preference", "say which answer is better, or that both are bad")
        if self.preference is not None and (not pair or self.preference not in PREFERENCE_VALUES):
            raise _missing("preference", "must be -3 (left much better) to 3 (right much better), for two answers")
        if self.marks and len(self.marks) != len(task_answers):
            raise _missing("marks", f"must be given for each of {len(task_answers)} answers, left first")
        for side, marks in zip(("left", "right"), self.marks, strict=False):
            for name, value in marks.items():
                if name not in dimensions:
                    raise _missing(f"marks.{side}.{name}", f"is not one of {', '.join(dimensions)}")
                if value is not None and (type(value) is not int or value not in RATING_VALUES):
                    raise _missing(f"marks.{side}.{name}", "must be 1 to 5, or null for not applicable")
        if rated or not pair:
            for side, marks in zip(("left", "right"), self.marks or ({},) * len(task_answers), strict=False):
                for name in dimensions:
                    if name not in marks:
                        raise _missing(f"marks.{side}.{name}", "is not answered: give 1 to 5, or not applicable")

    def as_json(self) -> dict[str, Any]:
        return {
            "shown": list(self.shown),
            "preference": self.preference,
            "both_bad": self.both_bad,
            "marks": [dict(m) for m in self.marks],
            "reasons": list(self.reasons),
            "rationale": self.rationale,
            "seconds": self.seconds,
            "guidelines": self.guidelines,
            **self.extra,
        }


def _missing(name: str, why: str) -> Refused:
    return Refused(422, f"{name}: {why}", field=name)
