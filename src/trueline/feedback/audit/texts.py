"""What the audit sees of a text: its words, the groups it names, praise for the user."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from trueline.feedback.snapshot import FeedbackSnapshot

_CHINESE = re.compile(r"[一-鿿]{2,}")
_ENGLISH = re.compile(r"[a-z0-9]+(?:'[a-z]+)*")
_SPACE = re.compile(r"\s+")
_EDGE = re.compile(r"[^\w一-鿿]+")
TOPICS, LEAST_SHARE, MOST_SHARE = 20, 0.05, 0.30


@dataclass(frozen=True)
class Reading:
    """A text as the lists see it: lower case, its English words, and these in a row."""

    lower: str
    words: frozenset[str]
    row: str

    @classmethod
    def of(cls, text: str) -> Reading:
        lower = text.lower().replace("’", "'")
        words = _ENGLISH.findall(lower)
        return cls(lower, frozenset(words), f" {' '.join(words)} ")


@dataclass(frozen=True)
class WordList:
    """Words, phrases of several words, the words that begin these, and Chinese terms."""

    words: frozenset[str]
    beginnings: frozenset[str]
    phrases: tuple[str, ...]
    chinese: tuple[str, ...]

    def held_by(self, text: Reading) -> bool:
        """Whether a text holds any of them; English as whole words, Chinese anywhere; case does not count."""
        if not self.words.isdisjoint(text.words):
            return True
        if not self.beginnings.isdisjoint(text.words) and any(map(text.row.__contains__, self.phrases)):
            return True
        return not text.lower.isascii() and any(map(text.lower.__contains__, self.chinese))


@lru_cache(maxsize=1)
def _lists() -> Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]:
    return json.loads(files(__package__).joinpath("words.json").read_text("utf-8"))  # type: ignore[no-any-return]


def _word_list(lists: Mapping[str, Sequence[str]]) -> WordList:
    rows = [" ".join(_ENGLISH.findall(term)) for term in lists["en"]]
    return WordList(
        frozenset(r for r in rows if " " not in r),
        frozenset(r.split()[0] for r in rows if " " in r),
        tuple(f" {r} " for r in rows if " " in r),
        tuple(lists["zh"]),
    )


@lru_cache(maxsize=1)
def groups() -> Mapping[str, WordList]:
    """For each kind of group (gender, religion, ...) its names, English and Chinese (words.json).

    Neutral names only: a text with a slur is rightly called unsafe.
    """
    return {name: _word_list(lists) for name, lists in _lists()["groups"].items()}


@lru_cache(maxsize=1)
def flattery() -> WordList:
    """Phrases that praise the user or the question."""
    return _word_list(_lists()["flattery"]["phrases"])


def content_words(text: Reading) -> frozenset[str]:
    """English words and pairs of neighbouring Chinese characters, without function words."""
    found = {w.split("'")[0] for w in text.words}
    if not text.lower.isascii():
        found.update(row[i : i + 2] for row in _CHINESE.findall(text.lower) for i in range(len(row) - 1))
    return frozenset(w for w in found if len(w) > 1 and not _function_word(w))


@lru_cache(maxsize=100_000)
def _function_word(word: str) -> bool:
    lists = _lists()["function_words"]["words"]
    return (
        word.isdigit()
        or (len(word) < 3 and word.isascii())
        or word in lists["en"]
        or bool(set(lists["zh"][0]) & set(word))
    )


def topic_words(documents: Sequence[frozenset[str]]) -> list[str]:
    """The 20 commonest words that 5 to 30% of the documents hold; chosen without a look at the labels."""
    counts = Counter(w for words in documents for w in words)
    least, most = max(20, LEAST_SHARE * len(documents)), MOST_SHARE * len(documents)
    kept = [w for w, c in counts.items() if least <= c <= most]
    return sorted(kept, key=lambda w: (-counts[w], w))[:TOPICS]


def plain(text: str) -> str:
    """Lower case, one space for any white space or punctuation: texts with the same plain form read the same."""
    return _SPACE.sub(" ", _EDGE.sub(" ", text.lower())).strip() or text.strip()


def unsafe_ids(snapshot: FeedbackSnapshot) -> frozenset[str]:
    """Completions that people call unsafe: a low mean mark, lost comparisons, or one of two bad answers."""
    score: Counter[str] = Counter()
    for r in snapshot.ratings:
        if r.dimension == "safety" and r.value is not None:
            score[r.completion_id] += r.value - 3
    for c in snapshot.comparisons:
        if c.dimension == "safety":
            score[c.a_id] -= c.preference + 3 * c.both_bad
            score[c.b_id] += c.preference - 3 * c.both_bad
    return frozenset(i for i, s in score.items() if s < 0)
