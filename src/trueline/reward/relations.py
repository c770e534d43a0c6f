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
    """(n, len(NAMES)) float64 of exchanges."""
    asked = [words("\n".join(m.content for m in e.prompt.messages)) for e in exchanges]
    texts = [e.completion.text for e in exchanges]
    return relations_of(asked, np.arange(len(asked)), texts, [words(t) for t in texts], topics)


def relations_of(
    asked: Sequence[Sequence[str]],
    prompt: np.ndarray,
    texts: Sequence[str],
    said: Sequence[Sequence[str]],
    topics: frozenset[str],
) -> np.ndarray:
    """(n, len(NAMES)): counts and flags, and their products, since an answer fits only if all of it fits.

    asked: words of each distinct prompt; prompt: (n,) which of them each answer is to; said: words of each answer.
    """
    sides = [(words_, _numbers(words_), words_ & topics) for words_ in map(set, asked)]
    rows = [_row(sides[p], text, set(found), topics) for p, text, found in zip(prompt, texts, said, strict=True)]
    single = np.array(rows, dtype=np.float64).reshape(len(rows), len(SINGLE))
    left, right = np.triu_indices(len(SINGLE))
    return np.concatenate([single, single[:, left] * single[:, right]], axis=1)


def _numbers(found: set[str]) -> set[str]:
    return {w for w in found if w[0].isdecimal()}


def _row(
    request: tuple[set[str], set[str], set[str]], text: str, said: set[str], topics: frozenset[str]
) -> list[float]:
    """request: the prompt's words, and which of them are numbers and topic words."""
    asked, asked_numbers, asked_topics = request
    said_numbers, said_topics = _numbers(said), said & topics
    said_names = {w.lower() for w in _CAPITALISED.findall(text)}
    numbers, names, about = said_numbers & asked_numbers, said_names & asked, said_topics & asked
    return [
        min(len(numbers), 3),
        min(len(said_numbers) - len(numbers), 3),
        float(bool(asked_numbers) and not numbers),
        min(len(names), 3),
        min(len(said_names) - len(names), 3),
        min(len(about), 5),
        min(len(said_topics) - len(about), 5),
        float(bool(asked_topics) and not about),
        len(said & asked) / (1 + len(said)),
    ]
