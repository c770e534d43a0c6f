"""Words of a text, for features. English words and numbers whole, Chinese characters one by one."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[㐀-䶿一-鿿豈-﫿぀-ヿ가-힯]|\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[!?]", re.UNICODE)


def words(text: str) -> list[str]:
    """Lower-case tokens."""
    return _TOKEN.findall(text.lower())


def terms(text: str) -> list[str]:
    """Words and pairs of neighbours; every number is the same word, so that none is learned by heart."""
    found = ["<number>" if w.isdigit() else w for w in words(text)]
    return [*found, *(f"{a} {b}" for a, b in zip(found, found[1:], strict=False))]
