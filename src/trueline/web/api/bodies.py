"""What the API takes: every text is bounded, and text that no database keeps is refused with the field named."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import Header, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

LONGEST_DRAFT = 1_000_000


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
    except (UnicodeEncodeError, RecursionError):
        raise ValueError("holds half a character (a lone surrogate), or is nested too deeply") from None
    if size > LONGEST_DRAFT or "\\u0000" in json.dumps(content):
        raise ValueError(f"is longer than {LONGEST_DRAFT} bytes, or holds a NUL character")
    return content


Plain = Annotated[StrictStr, AfterValidator(_plain)]
Name = Annotated[Plain, Field(min_length=1, max_length=100)]
Short = Annotated[Plain, Field(max_length=1_000)]
Content = Annotated[dict[str, Any], AfterValidator(_storable)]
TaskId = Annotated[int, Path(ge=1, le=2**53, description="The task's id, as /next gave it.")]
Key = Annotated[
    str,
    Header(alias="Idempotency-Key", min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$",
           description="Chosen by the sender, once for each submission: the same key again is the same submission."),
]  # fmt: skip


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Turn(Body):
    role: Literal["system", "user", "assistant"]
    content: Annotated[Plain, Field(min_length=1, max_length=20_000)]


def _asks(turns: list[Turn]) -> list[Turn]:
    if turns[-1].role != "user" or not turns[-1].content.strip():
        raise ValueError("must end with a user's turn that is not blank")
    return turns


class Conversation(Body):
    """What was said so far; the user's last turn waits for an answer."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=100), AfterValidator(_asks)]


class JudgementBody(Body):
    shown: Annotated[list[Name], Field(min_length=1, max_length=2, description="The answers' ids, left first.")]
    preference: StrictInt | None = Field(None, description="-3 (left much better) to 3 (right much better).")
    both_bad: StrictBool = False
    marks: Annotated[
        list[dict[Name, StrictInt | None]],
        Field(max_length=2, description="For each answer, 1 to 5 or null (not applicable) in every dimension."),
    ] = []
    reasons: Annotated[list[Annotated[Plain, Field(max_length=200)]], Field(max_length=50)] = []
    rationale: Annotated[Plain, Field(max_length=20_000)] = ""
    seconds: Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, description="Time on the task.")] = 0.0
    guidelines: Annotated[Plain, Field(max_length=100)] = ""


class DraftBody(Body):
    content: Content


class ReasonBody(Body):
    reason: Short = ""
