"""Whether a text has a word: whole where its script puts spaces between words, anywhere where it does not."""

from __future__ import annotations

import re
import unicodedata

# Chinese, Japanese, Thai, Lao, Burmese, Khmer
_UNSPACED = re.compile(r"[㐀-䶿一-鿿豈-﫿𠀀-𳿿぀-ヿㇰ-ㇿ฀-๿\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff]")


def has_word(text: str, word: str) -> bool:
    """Case, spaces, full-width forms and the kind of apostrophe do not count. A word may be a phrase."""
    text, word = _plain(text), _plain(word)
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (_joined(text[at - 1 : at], word[0]) or _joined(word[-1], text[end : end + 1])):
            return True
        at = text.find(word, at + 1)
    return False


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())


def _joined(left: str, right: str) -> bool:
    """Whether two neighbours, either of which may be missing, stand in one word."""
    return all(c != "" and unicodedata.category(c)[0] in "LMN" and not _UNSPACED.match(c) for c in (left, right))
