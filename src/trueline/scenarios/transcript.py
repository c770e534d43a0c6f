"""A conversation of several turns as one text, and back, so that what an assistant did is told by what is kept of it.

    assistant: find_hotels(city = Rome, stars = 4)
    tool: Sol 4 stars 95, Luna 5 stars 180.
    assistant: Which day do you arrive?
    user (simulated): On Friday.

A turn begins at the left edge; its further lines are indented, so that nobody can write a turn of somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence

from trueline.records import Message, Role

MARKS: dict[Role, str] = {"assistant": "assistant: ", "system": "tool: ", "user": "user (simulated): "}
INDENT = "  "


def write_transcript(turns: Sequence[Message]) -> str:
    """A tool's result is a turn of the role system."""
    return "\n".join(MARKS[turn.role] + turn.content.replace("\n", "\n" + INDENT) for turn in turns)


def read_transcript(text: str) -> list[Message]:
    """The turns of a transcript. A text that is none is one turn of the assistant's."""
    turns: list[Message] = []
    for line in text.split("\n"):
        role = next((role for role, mark in MARKS.items() if line.startswith(mark)), None)
        if role is not None:
            turns.append(Message(role, line.removeprefix(MARKS[role])))
        elif turns and line.startswith(INDENT):
            turns[-1] = Message(turns[-1].role, turns[-1].content + "\n" + line.removeprefix(INDENT))
        else:
            return [Message("assistant", text)]
    return turns
