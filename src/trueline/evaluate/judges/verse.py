"""Whether a poem keeps the form that it was asked for: a judge of the prompts whose meta names one, such as "wujue".

A prompt may name the rhyme of regulated Chinese verse too: {"form": "wujue", "rhyme": "eng"}.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trueline.errors import InputError
from trueline.evaluate.judges import verse_chinese, verse_english
from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Scores


@dataclass(frozen=True)
class Regulated:
    """So many lines of so many characters, with rhyme and tones."""

    lines: int
    length: int


@dataclass(frozen=True)
class Scheme:
    """A letter a line, the same letter where two rhyme, a dot where a line need not; syllables: of each line."""

    rhyme: str
    syllables: tuple[int, ...] = ()
    tolerance: int = 1


FORMS: Mapping[str, Regulated | Scheme] = {
    "wujue": Regulated(4, 5),
    "qijue": Regulated(4, 7),
    "wulu": Regulated(8, 5),
    "qilu": Regulated(8, 7),
    "couplet": Scheme("AA"),
    "quatrain_aabb": Scheme("AABB"),
    "quatrain_abab": Scheme("ABAB"),
    "ballad": Scheme(".A.A", (8, 6, 8, 6)),
    "limerick": Scheme("AABBA", (9, 9, 6, 6, 9), 2),
    "sonnet": Scheme("ABABCDCDEFEFGG", (10,) * 14),
    "haiku": Scheme("...", (5, 7, 5), 0),
    "free": Scheme(""),
}


def parts(text: str, form: Regulated | Scheme, rhyme: str = "") -> dict[str, float]:
    """What of the form is kept, 0 to 1 each: lines, length, rhyme, tones; empty where the form asks for nothing.

    Rhyme and tones are heard only where the number of lines (for tones: of characters too) is right, else they are 0.
    rhyme: the one that regulated verse must be in, of `verse_chinese.RHYME_NAMES`; empty: in any.
    """
    if isinstance(form, Regulated):
        found = verse_chinese.lines_of(text)
        whole = len(found) == form.lines
        right = sum(len(line) == form.length for line in found) / max(len(found), form.lines)
        return {
            "lines": float(whole),
            "length": right,
            "rhyme": verse_chinese.rhymes(found, rhyme) if whole else 0.0,
            "tones": verse_chinese.tones(found) if whole and right == 1 else 0.0,
        }
    if not form.rhyme:
        return {}
    lines = verse_english.lines_of(text)
    kept = {"lines": float(len(lines) == len(form.rhyme))}
    if form.syllables:
        kept["length"] = _lengths(lines, form)
    if form.rhyme.strip("."):
        kept["rhyme"] = verse_english.keeps_scheme(lines, form.rhyme) if kept["lines"] else 0.0
    return kept


def is_whole(kept: Mapping[str, float]) -> bool:
    """Whether of a form's `parts` lines, their length and rhyme are all as asked. Tones do not count: Tang poems
    themselves break one rule of them in six."""
    return all(value == 1 for part, value in kept.items() if part != "tones")


def _lengths(lines: Sequence[str], form: Scheme) -> float:
    within = 0
    for line, n in zip(lines, form.syllables, strict=False):
        least, most = verse_english.syllables(line)
        within += least - form.tolerance <= n <= most + form.tolerance
    return within / max(len(lines), len(form.syllables))


def form_of(exchange: Exchange) -> Regulated | Scheme | None:
    """The form that the prompt's meta asks for, None where it asks for none. InputError: it is not known."""
    name = _named(exchange, "form", tuple(FORMS))
    return FORMS[name] if name else None


def rhyme_of(exchange: Exchange) -> str:
    """The Chinese rhyme that the prompt's meta asks for, "" where it asks for none. InputError: it is not known."""
    return _named(exchange, "rhyme", verse_chinese.RHYME_NAMES)


def _named(exchange: Exchange, key: str, known: Sequence[str]) -> str:
    name = exchange.prompt.meta.get(key)
    if name is None:
        return ""
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)[0]
        raise InputError(
            f"prompt {exchange.prompt.id}: {key} {name!r} is not known; did you mean {near!r}? "
            f"There is {', '.join(known)}"
        )
    return str(name)


@dataclass(frozen=True)
class VerseJudge:
    """The mean of a form's parts, or, with `whole`, 1 where the form `is_whole` and else 0; nan, no verdict, where the
    prompt asks for no form. It knows nothing of beauty."""

    name: str = "the form of the verse"
    whole: bool = False

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        values = np.full((len(exchanges), 1), np.nan)
        for i, exchange in enumerate(exchanges):
            form = form_of(exchange)
            if form is not None and (kept := parts(exchange.completion.text, form, rhyme_of(exchange))):
                values[i] = is_whole(kept) if self.whole else sum(kept.values()) / len(kept)
        return Verdicts(Scores(("form",), values))

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)
