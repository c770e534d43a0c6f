"""The language of a text, offline: by its script where that tells, else by py3langid among some 50 languages."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

# The more languages are held possible, the less a short text tells.
HELD_POSSIBLE = (
    "af ar az bg bn ca cs da de el en es et fa fi fr he hi hr hu hy id is it ja ka kk ko lt lv mk mr ms ne nl no pl pt "
    "ro ru sk sl sq sr sv sw ta te th tl tr uk ur vi zh"
).split()
UNKNOWN = "und"  # ISO 639's "undetermined"
SURE = 0.4
LOOKED_AT = 200  # characters
LEAST = 3  # letters
_SCRIPTS = {
    "ja": re.compile(r"[぀-ヿㇰ-ㇿｦ-ﾟ]"),
    "ko": re.compile(r"[ᄀ-ᇿ㄰-㆏가-힣]"),
    "zh": re.compile(r"[㐀-䶿一-鿿豈-﫿𠀀-𯨟]"),
    "th": re.compile(r"[฀-๿]"),
    "he": re.compile(r"[֐-׿]"),
    "el": re.compile(r"[Ͱ-Ͽἀ-῿]"),
}
_NO_WORD = re.compile(r"https?://[!-~]+|[!-~]+@[!-~]+|`[^`]*`")


def language_of(text: str) -> str:
    """ISO 639-1, or `und` where there is too little text, or it could be several."""
    text = text[:LOOKED_AT]
    if "@" in text or "://" in text or "`" in text:
        text = _NO_WORD.sub(" ", text)
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        counts = {name: len(script.findall(text)) for name, script in _SCRIPTS.items()}
        kana, han = counts["ja"], counts["zh"]
        if kana and kana + han >= letters / 4:
            return "ja" if 10 * kana >= kana + han else "zh"
        for name, found in counts.items():
            if found and 4 * found >= letters:  # a character of these weighs more than a letter
                return name
    if sum(map(str.isalpha, text)) < LEAST:
        return UNKNOWN
    name, share = _identifier().classify(text)
    return str(name) if share >= SURE else UNKNOWN


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(set(HELD_POSSIBLE) & set(identifier.labels))
    return identifier
