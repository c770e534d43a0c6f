"""The fields of a labelling tool's task, which each team names as it likes: which is the prompt, which are the answers.

Known names, in any case, `-` or `_` between words: a prompt is prompt, instruction, question, input, context or query;
one answer is response, completion, answer, output, generation, text or chosen; two are any of these with 1 and 2 or a
and b behind, or left and right, a and b, chosen and rejected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueline.feedback.formats.base import BadRow
from trueline.feedback.formats.marks import answer_of, prompt_of
from trueline.records import Exchange, Prompt

PROMPTS = ("prompt", "instruction", "question", "input", "context", "query")
ANSWERS = ("response", "completion", "answer", "output", "generation", "text")
ENDS = (("1", "2"), ("a", "b"), ("left", "right"))
PAIRS = (*(tuple(f"{name}{end}" for end in ends) for name in ANSWERS for ends in ENDS), ("left", "right"), ("a", "b"))
TIES = ("tie", "equal", "same", "both", "none", "neither")


@dataclass(frozen=True)
class Asked:
    """A task's texts: the prompt, its answers, and each answer's own name as it stands in labels."""

    prompt: Prompt
    exchanges: tuple[Exchange, ...]
    names: tuple[str, ...]

    def side(self, name: Any) -> int | None:
        """The answer that a label names: 0, 1; None for a tie. BadRow where it names none."""
        said = plain(str(name))
        for i, sides in enumerate((("left", "a", "1", "first"), ("right", "b", "2", "second"))):
            if said == self.names[i] or said in sides:
                return i
        if said in TIES:
            return None
        raise BadRow(f"{name!r} names no answer, must be {', '.join(self.names)} or tie")


def plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def asked_of(fields: Any, source: str) -> Asked:
    """The prompt and the answers among a task's fields."""
    if not isinstance(fields, Mapping):
        raise BadRow("has no fields")
    given = {plain(name): (name, value) for name, value in fields.items() if value not in (None, "")}
    asked = next((n for n in PROMPTS if n in given), None)
    if asked is None:
        raise BadRow(f"has no prompt; it must be called one of {', '.join(PROMPTS)}")
    prompt = prompt_of(given[asked][1], given[asked][0])
    names = next((p for p in (*PAIRS, ("chosen", "rejected")) if all(n in given for n in p)), None)
    names = names or next(((n,) for n in ANSWERS if n in given), None)
    if names is None:
        raise BadRow(f"has no answer; it must be called one of {', '.join(ANSWERS)}, with 1 and 2 behind for a pair")
    exchanges = tuple(Exchange.of(prompt, answer_of(given[n][1], given[n][0]), source) for n in names)
    if len({e.completion.id for e in exchanges}) < len(exchanges):
        raise BadRow("the two answers are the same text")
    return Asked(prompt, exchanges, tuple(names))
