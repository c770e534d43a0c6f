"""Texts to look at beside a finding, with what people call unsafe marked so."""

from __future__ import annotations

from dataclasses import dataclass

from trueline.feedback.audit.findings import Passage
from trueline.feedback.audit.texts import unsafe_ids
from trueline.feedback.snapshot import FeedbackSnapshot

SHOWN = 10


@dataclass(frozen=True)
class Passages:
    """unsafe: completions; unsafe_prompts: those with an unsafe answer, which are often as hard to read as it."""

    snapshot: FeedbackSnapshot
    unsafe: frozenset[str]
    unsafe_prompts: frozenset[str]

    @classmethod
    def of(cls, snapshot: FeedbackSnapshot) -> Passages:
        unsafe = unsafe_ids(snapshot)
        return cls(snapshot, unsafe, frozenset(snapshot.completions[i].prompt_id for i in unsafe))

    def answer(self, completion: str, what: str) -> Passage:
        return Passage(what, self.snapshot.completions[completion].text, completion in self.unsafe)

    def prompt(self, prompt: str, what: str = "prompt") -> Passage:
        return Passage(what, self.snapshot.prompts[prompt].text, prompt in self.unsafe_prompts)

    def prompt_of(self, completion: str) -> Passage:
        return self.prompt(self.snapshot.completions[completion].prompt_id)
