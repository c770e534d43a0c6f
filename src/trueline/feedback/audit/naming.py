"""Which answers and questions name which groups and hold which words; each text is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.audit.texts import Reading, content_words, flattery, groups, topic_words
from trueline.feedback.snapshot import FeedbackSnapshot


@dataclass(frozen=True)
class Named:
    """groups, words: of an answer, by completion; asked_groups, asked_words: of a prompt's last turn, by prompt."""

    groups: Mapping[str, frozenset[str]]
    words: Mapping[str, frozenset[str]]
    asked_groups: Mapping[str, frozenset[str]]
    asked_words: Mapping[str, frozenset[str]]
    flattering: frozenset[str]
    prompt_of: Mapping[str, str]

    @classmethod
    def of(cls, snapshot: FeedbackSnapshot) -> Named:
        said = {i: Reading.of(c.text) for i, c in snapshot.completions.items()}
        asked = {i: Reading.of(p.messages[-1].content) for i, p in snapshot.prompts.items()}
        return cls(
            {i: _groups(t) for i, t in said.items()},
            {i: content_words(t) for i, t in said.items()},
            {i: _groups(t) for i, t in asked.items()},
            {i: content_words(t) for i, t in asked.items()},
            frozenset(i for i, t in said.items() if flattery().held_by(t)),
            {i: c.prompt_id for i, c in snapshot.completions.items()},
        )

    def in_answers(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, np.ndarray]]:
        """By aspect and name: (n,) 1.0 where the answer holds it."""
        return _by_name([self.groups[i] for i in ids], [self.words[i] for i in ids])

    def in_exchanges(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, np.ndarray]]:
        """The same where the prompt's last turn or the answer holds it."""
        return _by_name(
            [self.groups[i] | self.asked_groups[self.prompt_of[i]] for i in ids],
            [self.words[i] | self.asked_words[self.prompt_of[i]] for i in ids],
        )


def _groups(text: Reading) -> frozenset[str]:
    return frozenset(name for name, names in groups().items() if names.held_by(text))


def _by_name(
    named: Sequence[frozenset[str]], words: Sequence[frozenset[str]]
) -> Mapping[str, Mapping[str, np.ndarray]]:
    return {
        "group": {name: np.array([float(name in held) for held in named]) for name in groups()},
        "topic": {word: np.array([float(word in held) for held in words]) for word in topic_words(words)},
    }
