"""The syntax of a tool call: `book_hotel(hotel = Sol, day = Friday, nights = 2)`, a whole turn of the assistant's.

A value is plain words or a text in double quotes. Nothing is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_CHARACTERS = 200
_LOOKS_LIKE_ONE = re.compile(r"\s*[A-Za-z_]{1,30}\(")
_CALL = re.compile(r"\s*([A-Za-z_]{1,30})\((.*)\)\s*", re.DOTALL)
_ARGUMENT = re.compile(r'\s*([A-Za-z_]{1,30})\s*=\s*(?:"([^"]*)"|([^,"=()]*[^,"=()\s]))\s*')


class CallError(ValueError):
    """What is wrong with a call, for whoever made it."""


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, str]


def is_call(said: str) -> bool:
    """Whether a turn is meant for a tool rather than for the user."""
    return _LOOKS_LIKE_ONE.match(said) is not None


def parse_call(said: str) -> Call:
    """CallError says what cannot be read."""
    if len(said) > MOST_CHARACTERS:
        raise CallError(f"a call has at most {MOST_CHARACTERS} characters")
    found = _CALL.fullmatch(said)
    if found is None:
        raise CallError("a call is tool(name=value, name=value) and nothing else")
    tool, inside = found[1], found[2]
    arguments: dict[str, str] = {}
    at = 0
    while inside[at:].strip():
        argument = _ARGUMENT.match(inside, at)
        if argument is None:
            raise CallError("an argument is name=value, with a comma between two")
        name, quoted, plain = argument.groups()
        if name in arguments:
            raise CallError(f"{name} is given twice")
        arguments[name] = (plain if quoted is None else quoted).strip()
        at = argument.end()
        if at < len(inside):
            if inside[at] != "," or not inside[at + 1 :].strip():
                raise CallError("an argument is name=value, with a comma between two")
            at += 1
    return Call(tool, arguments)
