"""Tang quatrains as Trueline reads them, in two halves that share no title: one to learn from, one to judge by.

Each line of the source is {"title", "author", "lines"}, in traditional characters (chinese-poetry). Kept are quatrains
(jueju) and poems of eight lines (lüshi), which are cut into two quatrains: each half has the form of one. A prompt
names title, form and rhyme. Of ten titles eight are for training, one for validation and one for the test, and nothing
is learned from a poem whose title is not for training.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trueline.evaluate.judges.verse_chinese import lines_of, reading
from trueline.policy.randomness import generator
from trueline.records import Prompt, Split, split_of

FORMS = {5: ("wujue", "五言絕句"), 7: ("qijue", "七言絕句")}
NAMES = dict(FORMS.values())
# The 14 rhymes of Zhonghua Xinyun, as the judge calls them and as the book does.
RHYMES = dict(zip(("a", "o", "ie", "ai", "ei", "ao", "ou", "an", "en", "ang", "eng", "i", "-i", "u"),
                  "麻波皆開微豪尤寒文唐庚齊支姑", strict=True))  # fmt: skip
LISTS, AGAIN, LISTED = 8000, 2000, (8, 32)
ENOUGH, REPEATED = 400, 4
HALVES = ("learned", "judging")
LONGEST_TITLE = 12
_NOTE = re.compile(r"[（(][^）)]*[）)]")
_NUMBER = re.compile(r"(?:[一二三四五六七八九十百]+首)?(?: [一二三四五六七八九十百]+)?$")
_PLAIN = re.compile(r"[\u3400-\u9fff，。！？；：]+")
_TITLE = re.compile(rf"[\u3400-\u9fff]{{1,{LONGEST_TITLE}}}")


@dataclass(frozen=True)
class Poem:
    """A quatrain. rhyme: one of RHYMES, or "" where it has none."""

    title: str
    text: str
    form: str
    rhyme: str

    @property
    def half(self) -> str:
        return HALVES[int(generator("half", self.title).integers(2))]

    @property
    def split(self) -> Split:
        return split_of(Prompt.from_user(self.title))

    @property
    def prompt(self) -> str:
        return ask(self.title, self.form, self.rhyme)


def ask(title: str, form: str, rhyme: str) -> str:
    return f"以《{title}》為題作一首{NAMES[form]}" + (f"，押{RHYMES[rhyme]}韻" if rhyme else "")


def rhyme_of(text: str) -> str:
    """The one that both even lines end in, on different characters."""
    ends = [(line[-1], reading(line)[-1][0]) for line in lines_of(text)[1::2]]
    return ends[0][1] if len({c for c, _ in ends}) == 2 and len({r for _, r in ends}) == 1 else ""


def read(source: Path) -> list[Poem]:
    """Each quatrain once; poems with notes or lost characters in their text are left out, and so are long titles."""
    found: dict[str, Poem] = {}
    for line in source.read_text("utf-8").splitlines():
        row = json.loads(line)
        title = _NUMBER.sub("", _NOTE.sub("", row["title"]).strip()).strip()
        whole = "".join(row["lines"])
        lengths = [len(part) for part in lines_of(whole)]
        fits = _TITLE.fullmatch(title) and _PLAIN.fullmatch(whole)
        if fits and len(lengths) in (4, 8) and len(set(lengths)) == 1 and lengths[0] in FORMS:
            step = 4 * (lengths[0] + 1)
            for start in range(0, len(whole), step):
                couplets = whole[start : start + step // 2], whole[start + step // 2 : start + step]
                text = "\n".join(couplets)
                found.setdefault(text, Poem(title, text, FORMS[lengths[0]][0], rhyme_of(text)))
    return list(found.values())


def chat(asked: str, said: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}


def documents(poems: Iterable[Poem], most: int = 1) -> list[dict[str, Any]]:
    """A chat for each quatrain; up to `most` for those in a rhyme that fewer than ENOUGH are in, which would not be
    learned: of 14 rhymes three have half of the poems.
    """
    train = [p for p in poems if p.split == "train"]
    known = Counter(p.rhyme for p in train)
    return [
        chat(p.prompt, p.text)
        for p in train
        for _ in range(min(most, math.ceil(ENOUGH / known[p.rhyme])) if p.rhyme else 1)
    ]


def rhyme_book(poems: Iterable[Poem], n: int) -> list[dict[str, Any]]:
    """n lists of characters that rhyme, by the rhyme's name, as poets learned them: those that the poems rhyme on, the
    frequent ones in more lists. In a whole poem two characters in thirty tell what a rhyme is, and from these so small
    a policy does not learn it.
    """
    ends: dict[str, Counter[str]] = {rhyme: Counter() for rhyme in RHYMES}
    for p in poems:
        if p.split == "train":
            for line in lines_of(p.text)[1::2]:
                if (rhyme := reading(line)[-1][0]) in ends:
                    ends[rhyme][line[-1]] += 1
    known = {rhyme: found for rhyme, found in ends.items() if found}
    rows = []
    for i in range(n):
        rhyme, rng = list(known)[i % len(known)], generator("rhyme book", i)
        characters, often = list(known[rhyme]), np.sqrt(list(known[rhyme].values()))
        size = min(int(rng.integers(*LISTED)), len(characters))
        drawn = rng.choice(characters, size, replace=False, p=often / often.sum())
        rows.append(chat(f"列{size}字，押{RHYMES[rhyme]}韻", "".join(drawn)))
    return rows


def prompts(poems: Sequence[Poem]) -> list[dict[str, Any]]:
    """One for each title, in a form in which it has no poem here, on a rhyme as often as poems have it. Training has
    the titles of the half that is learned from; validation and test have those of both halves.
    """
    forms: dict[tuple[str, Split], set[str]] = {}
    for p in poems:
        if p.split != "train" or p.half == HALVES[0]:
            forms.setdefault((p.title, p.split), set()).add(p.form)
    known = sorted(p.rhyme for p in poems if p.rhyme and p.split == "train")
    rows = []
    for (title, split), had in sorted(forms.items()):
        rhyme = known[int(generator("poetry prompt", title).integers(len(known)))]
        for form in sorted(set(NAMES) - had):
            meta = {"split": split, "form": form, "rhyme": rhyme}
            rows.append({"prompt": ask(title, form, rhyme), "prompt_meta": meta})
    return rows


def convert(source: Path, learned: Path, judging: Path) -> None:
    """Write poems.jsonl into both folders, into the first with some of the rhyme book, so that it is not forgotten;
    and the book, rhymes.jsonl, and prompts.jsonl into the first.
    """
    poems = read(source)
    first, second = ([p for p in poems if p.half == half] for half in HALVES)
    book = rhyme_book(first, LISTS)
    write(learned / "poems.jsonl", documents(first, REPEATED) + book[:AGAIN])
    write(learned / "rhymes.jsonl", book)
    write(judging / "poems.jsonl", documents(second))
    write(learned / "prompts.jsonl", prompts(poems))


def write(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
