"""What an answer has to do with its prompt: numbers, names and words that the two share, or do not.

Consistency cannot be seen in the answer alone; these few features are what a bag of words misses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from trueline.records import Exchange
from trueline.reward.text import words

SINGLE = (
    "numbers from the request",
    "numbers not in the request",
    "no number of the request repeated",
    "names from the request",
    "names not in the request",
    "topic words from the request",
    "topic words not in the request",
    "no topic word of the request repeated",
    "shared words",
)
NAMES = (*SINGLE, *(f"{a} & {b}" for i, a in enumerate(SINGLE) for b in SINGLE[i:]))
_CAPITALISED = re.compile(r"(?<![.!?。！？]\s)(?<!^)\b[A-Z][a-z]+")
_NUMBER = re.compile(r"\d+")
TOPIC_SHARE = 0.1


def topic_words(prompts: Sequence[str]) -> frozenset[str]:
    """Words that some prompts hold and most do not (2 to 10% of them): what tells one request from another."""
    counts: dict[str, int] = {}
    for prompt in prompts:
        for word in set(words(prompt)):
            counts[word] = counts.get(word, 0) + 1
    least, most = max(2, 0.002 * len(prompts)), TOPIC_SHARE * len(prompts)
    return frozenset(w for w, c in counts.items() if least <= c <= most and not w.isdigit())


def relations(exchanges: Sequence[Exchange], topics: frozenset[str]) -> np.ndarray:
    """(n, len(NAMES)) float64: counts and flags, and their products, since an answer fits only if all of it fits."""
    single = np.array([_row(e, topics) for e in exchanges], dtype=np.float64).reshape(len(exchanges), len(SINGLE))
    left, right = np.triu_indices(len(SINGLE))
    return np.concatenate([single, single[:, left] * single[:, right]], axis=1)


def _row(exchange: Exchange, topics: frozenset[str]) -> list[float]:
    prompt, answer = "\n".join(m.content for m in exchange.prompt.messages), exchange.completion.text
    asked, said = set(words(prompt)), set(words(answer))
    asked_numbers, said_numbers = set(_NUMBER.findall(prompt)), set(_NUMBER.findall(answer))
    said_names = {w.lower() for w in _CAPITALISED.findall(answer)}
    said_topics = said & topics
    return [
        min(len(said_numbers & asked_numbers), 3),
        min(len(said_numbers - asked_numbers), 3),
        float(bool(asked_numbers) and not said_numbers & asked_numbers),
        min(len(said_names & asked), 3),
        min(len(said_names - asked), 3),
        min(len(said_topics & asked), 5),
        min(len(said_topics - asked), 5),
        float(bool(asked & topics) and not said_topics & asked),
        len(said & asked) / (1 + len(said)),
    ]
