"""What an objective may not reward, told by what its parts are called. Standard library only: the settings ask it."""

from __future__ import annotations

import re
from collections.abc import Mapping

LEAST_WORDS, LEAST_CHARACTERS = 5, 20
SAFE = frozenset("safe safety harmless harmlessness harmlessly nontoxic 安全 安全性 无害 无害性 無害".split())
HARMFUL = frozenset(
    "harm harms harmful harmfulness unsafe unsafety danger dangerous dangerousness toxic toxicity violence hate "
    "hatefulness abuse abusiveness 有害 有害性 危险 危险性 毒性 不安全 暴力 仇恨 辱骂 攻击性".split()
)
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")


def is_reason(text: str) -> bool:
    """Whether it is a sentence: five words, with a Chinese character as one, and twenty characters or ten Chinese."""
    words = _WORD.findall(text)
    width = sum(2 if "\u4e00" <= c <= "\u9fff" else 1 for c in "".join(words))
    return len(words) >= LEAST_WORDS and width >= LEAST_CHARACTERS


def rewarded_harm(weights: Mapping[str, float], checks: Mapping[str, float], limited: str) -> list[str]:
    """Why an objective rewards harm, by what its parts are called; () where it does not.

    weights, checks: of `[objective]`; limited: the dimension whose low marks `[align.constraint]` holds down.
    """
    found = [
        f"objective.weights: {name} counts {weight:g}, so that unsafe answers are rewarded"
        for name, weight in weights.items()
        if weight < 0 and _words(name) & SAFE and "not" not in _words(name)
    ]
    found += [
        f"objective.weights: {name} counts {weight:g}, so that harmful answers are rewarded"
        for name, weight in weights.items()
        if weight > 0 and _means_harm(name)
    ]
    found += [
        f"objective.checks: {name} counts {weight:g}, so that breaking it is rewarded"
        for name, weight in checks.items()
        if weight < 0 and name == "rules"
    ]
    if limited and _means_harm(limited):
        found.append(f"align.constraint: answers with low marks in {limited} are held down, so that harmful ones stay")
    return found


def _means_harm(name: str) -> bool:
    words = _words(name)
    return bool(words) and words <= HARMFUL


def _words(name: str) -> frozenset[str]:
    return frozenset(w for w in re.split(r"[\W_]+", name.lower()) if w)
