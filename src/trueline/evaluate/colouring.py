"""An explanation laid over its text: what each word adds to the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trueline.reward.text import words

NUMBER = "<number>"


@dataclass(frozen=True)
class Piece:
    """A stretch of the text, and what it adds to the score; 0 for what lies between words."""

    text: str
    value: float


@dataclass(frozen=True)
class Coloured:
    """pieces: the whole text; rest: parts that are no words of it, such as style. All values sum to the parts' sum."""

    pieces: tuple[Piece, ...]
    rest: Mapping[str, float]


def colour(text: str, parts: Mapping[str, float]) -> Coloured:
    """A part of one or two words is shared out over the places where the text has them in a row."""
    lowered = text.lower()
    found = words(text)
    shown = text if len(lowered) == len(text) else lowered
    terms = [NUMBER if w.isdigit() else w for w in found]
    values, rest = [0.0] * len(found), dict(parts)
    for width in (1, 2):
        places: dict[str, list[int]] = {}
        for i in range(len(found) - width + 1):
            for term in {" ".join(terms[i : i + width]), " ".join(found[i : i + width])}:
                if term in rest:
                    places.setdefault(term, []).append(i)
        for term, starts in places.items():
            share = rest.pop(term) / (len(starts) * width)
            for i in (k for start in starts for k in range(start, start + width)):
                values[i] += share
    pieces, end = [], 0
    for word, value in zip(found, values, strict=True):
        start = lowered.index(word, end)
        if start > end:
            pieces.append(Piece(shown[end:start], 0.0))
        end = start + len(word)
        pieces.append(Piece(shown[start:end], value))
    if end < len(shown):
        pieces.append(Piece(shown[end:], 0.0))
    return Coloured(tuple(pieces), rest)
