"""Comparisons that nobody judged: a Tang poem is put above what was made of it, or what a policy wrote in its stead.

Both sides of a pair keep the form alike (lines, their length, rhyme), so that who learns from them cannot learn the
form, which is checked by rule. Three kinds of a worse side:

    shuffled   its characters in another order; each stays among those of its tone, and the rhymes where they are
    mixed      each line is the line in the same place of another poem, with the same rhyme and the same first tone
    sampled    what the pretrained policy answered to the same title, where that keeps the form
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from convert import Poem, write

from trueline.align.answers import answer
from trueline.config import PolicyConfig
from trueline.evaluate.judges.verse import FORMS, is_whole, parts
from trueline.evaluate.judges.verse_chinese import lines_of, reading
from trueline.policy.load import Policy, load_policy
from trueline.policy.randomness import generator
from trueline.records import Prompt

SAMPLES, AT_ONCE, TRIES = 4, 32, 8


def in_form(text: str, form: str) -> bool:
    """Lines, their length and rhyme, whichever it is; not the tones."""
    return is_whole(parts(text, FORMS[form]))


def write_out(lines: Sequence[str]) -> str:
    return "\n".join(f"{a}，{b}。" for a, b in zip(lines[::2], lines[1::2], strict=True))


def shuffled(lines: Sequence[str], rng: np.random.Generator) -> list[str]:
    whole = [list(zip(line, (tone for _, tone in reading(line)), strict=True)) for line in lines]
    free = [(i, j) for i, line in enumerate(whole) for j in range(len(line)) if not (i % 2 and j == len(line) - 1)]
    found = [list(line) for line in lines]
    for tone in {whole[i][j][1] for i, j in free}:
        places = [(i, j) for i, j in free if whole[i][j][1] == tone]
        for (i, j), k in zip(places, rng.permutation(len(places)), strict=True):
            found[i][j] = lines[places[k][0]][places[k][1]]
    return ["".join(line) for line in found]


def _kind(form: str, place: int, line: str) -> tuple[Any, ...]:
    sounds = reading(line)
    return form, place, sounds[1][1], sounds[-1][0] if place % 2 else sounds[-1][1]


class Lines:
    """The lines of many poems, by form, place and sound."""

    def __init__(self, poems: Sequence[Poem]) -> None:
        self.known: dict[tuple[Any, ...], list[str]] = {}
        for poem in poems:
            for place, line in enumerate(lines_of(poem.text)):
                self.known.setdefault(_kind(poem.form, place, line), []).append(line)

    def mixed(self, form: str, lines: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Other lines of the same sound; where there is none a line stays."""
        found = []
        for place, line in enumerate(lines):
            others = [x for x in self.known[_kind(form, place, line)] if x != line] or [line]
            found.append(others[int(rng.integers(len(others)))])
        return found


def sampled(policy: Policy, poems: Sequence[Poem], config: PolicyConfig, seed: int) -> dict[str, str]:
    """By prompt, the first answer in the form, where there is one."""
    found: dict[str, str] = {}
    asked = [Prompt.from_user(p.prompt, {"form": p.form}) for p in poems]
    for i in range(0, len(asked), AT_ONCE):
        part = answer(policy, asked[i : i + AT_ONCE], config, SAMPLES, "policy:pretrained", ("construct", seed))
        for e in part.exchanges:
            if e.completion.finish == "stop" and in_form(e.completion.text, e.prompt.meta["form"]):
                found.setdefault(e.prompt.messages[0].content, e.completion.text)
    return found


def comparisons(
    poems: Sequence[Poem], policy: Policy, config: PolicyConfig, n: int, name: str, seed: int
) -> Iterator[dict[str, Any]]:
    """Up to three a poem, for n poems of the training titles that keep their form."""
    whole = [p for p in poems if p.split == "train" and in_form(p.text, p.form)]
    chosen = [whole[i] for i in generator("construct", seed).permutation(len(whole))[:n]]
    lines, written = Lines(whole), sampled(policy, chosen, config, seed)
    for poem in chosen:
        rng, own = generator("construct", seed, poem.text), lines_of(poem.text)
        worse = [write_out(shuffled(own, rng))]
        tries = (write_out(lines.mixed(poem.form, own, rng)) for _ in range(TRIES))
        worse += [t for t in tries if in_form(t, poem.form)][:1]
        worse += [written[poem.prompt]] if poem.prompt in written else []
        for text in worse:
            if text != poem.text:
                yield _row(poem.prompt, poem.text, text, name, first=bool(rng.integers(2)))


def _row(prompt: str, better: str, worse: str, name: str, *, first: bool) -> dict[str, Any]:
    a, b = (better, worse) if first else (worse, better)
    label = {"dimension": "quality", "preference": -3 if first else 3, "annotator": name, "simulated": True}
    return {"prompt": prompt, "a": a, "b": b, **label}


def construct(
    poems: Sequence[Poem], policy: Path, target: Path, config: PolicyConfig, n: int, name: str, seed: int
) -> None:
    write(target, comparisons(poems, load_policy(str(policy)), config, n, name, seed))
