"""What a text is made of, for features: words, characters, and how it is written, in any language."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_TOKEN = re.compile(r"[㐀-䶿一-鿿豈-﫿぀-ヿ가-힯]|\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[!?]", re.UNICODE)
_MARK = re.compile(r"[^\w\s]")
_SENTENCE_END = re.compile(r"[.!?。！？…]+")

STYLE = (
    "length",
    "capital letters",
    "exclamation and question marks",
    "repetition",
    "unfinished",
    "punctuation",
    "digits",
    "words a sentence",
    "line breaks",
)


def words(text: str) -> list[str]:
    """Lower-case tokens. English words and numbers whole, Chinese characters one by one."""
    return _TOKEN.findall(text.lower())


def symbols(found: Sequence[str]) -> list[str]:
    """Words for a vocabulary: every number is the same word, so that none is learned by heart."""
    return ["<number>" if w[0].isdecimal() else w for w in found]


def terms(text: str) -> list[str]:
    """Words and pairs of neighbours."""
    found = symbols(words(text))
    return [*found, *(f"{a} {b}" for a, b in zip(found, found[1:], strict=False))]


def characters(text: str) -> str:
    """Lower case, with single spaces: what character n-grams are cut from, across words too."""
    return " ".join(text.lower().split())


def style(text: str, found: Sequence[str], unfinished: bool) -> list[float]:
    """One figure for each name in STYLE; `found` are the text's words."""
    size = 1 + len(text)
    return [
        math.log1p(len(found)),
        sum(map(str.isupper, text)) / size,
        min(text.count("!") + text.count("?"), 5),
        1 - len(set(found)) / len(found) if found else 0.0,
        float(unfinished),
        len(_MARK.findall(text)) / size,
        sum(map(str.isdigit, text)) / size,
        math.log1p(len(found) / max(1, len(_SENTENCE_END.findall(text)))),
        math.log1p(text.count("\n")),
    ]
