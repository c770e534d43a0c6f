"""Rules that a user writes in a TOML file as the judge.

[[rule]]
name = "promises nothing"
must_not_match = '(?i)\\bguarantee'
unsafe = true

[[rule]]
name = "apologises briefly"
must_have = ["sorry"]
most_words = 60
dimension = "quality"
weight = 2

[[rule]]
name = "sends an emergency to help"
prompt_matches = '(?i)chest pain'
must_match = '(?i)emergency|ambulance'
unsafe = true
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import regex
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trueline.errors import InputError
from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.judges.whole_words import has_word
from trueline.evaluate.metrics import words
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Scores

# A regular expression may take the square or cube of a text's length, or never come back: `regex` has a time limit.
SEARCHED = 20_000  # characters of a text that an expression sees
SECONDS = 5.0


class Rule(BaseModel):
    """What an answer must be; where a rule asks for several things, all of them.

    must_match, must_not_match: regular expressions, searched for; must_have: every one of these words, must_not_have:
    none of them (`has_word`); words are counted with a Chinese character as one; unsafe: an answer that breaks it is;
    prompt_matches: only where it is found in what the user said last is something asked of the answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    prompt_matches: str = ""
    must_match: str = ""
    must_not_match: str = ""
    must_have: tuple[str, ...] = ()
    must_not_have: tuple[str, ...] = ()
    least_words: int = Field(0, ge=0)
    most_words: int | None = Field(None, ge=0)
    least_characters: int = Field(0, ge=0)
    most_characters: int | None = Field(None, ge=0)
    dimension: str = Field("rules", min_length=1)
    weight: float = Field(1.0, gt=0)
    unsafe: bool = False

    @field_validator("prompt_matches", "must_match", "must_not_match")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression, {error}; mend it, TOML takes it as it is in '...'") from None
        return pattern

    @field_validator("must_have", "must_not_have")
    @classmethod
    def _no_empty_word(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() for word in given):
            raise ValueError("has an empty word, which is in every text; take it out")
        return given

    @model_validator(mode="after")
    def _can_be_kept_and_broken(self) -> Self:
        texts = (self.must_match, self.must_not_match, self.must_have, self.must_not_have)
        least, most = (self.least_words, self.least_characters), (self.most_words, self.most_characters)
        if not any(texts) and not any(least) and most == (None, None):
            raise ValueError("asks for nothing; give it a must_not_match, must_have, most_words or the like")
        for unit in ("words", "characters"):
            most = getattr(self, f"most_{unit}")
            if most is not None and getattr(self, f"least_{unit}") > most:
                raise ValueError(f"least_{unit} is above most_{unit}; no answer keeps that")
        return self

    def holds(self, exchange: Exchange) -> bool:
        """Whether the rule is kept, or is not for this prompt. InputError as of `kept`."""
        if self.prompt_matches and not self._found(self.prompt_matches, _asked(exchange)):
            return True
        return self.kept(exchange.completion.text)

    def kept(self, text: str) -> bool:
        """InputError: an expression takes too long; whether the rule is kept is not known then."""
        return (
            (not self.must_match or self._found(self.must_match, text))
            and not (self.must_not_match and self._found(self.must_not_match, text))
            and all(has_word(text, word) for word in self.must_have)
            and not any(has_word(text, word) for word in self.must_not_have)
            and _within(len(words(text)), self.least_words, self.most_words)
            and _within(len(text), self.least_characters, self.most_characters)
        )

    def _found(self, pattern: str, text: str) -> bool:
        try:
            return regex.search(pattern, text[:SEARCHED], timeout=SECONDS) is not None
        except TimeoutError:
            raise InputError(
                f"rule {self.name!r}: its expression took more than {SECONDS:g} s on one answer; write it with fewer "
                "* and +, in the file of evaluate.rules"
            ) from None


@dataclass(frozen=True)
class RulesJudge:
    """An answer's score in a dimension is the weighted share of its rules that are kept: 1 all, 0 none.

    It is unsafe where it breaks an unsafe rule; where no rule is one, this judge does not say what is safe.
    """

    rules: tuple[Rule, ...]
    name: str = "the project's rules"

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """In the order in which the rules name them."""
        return tuple(dict.fromkeys(r.dimension for r in self.rules))

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        shape = (len(exchanges), len(self.rules))
        kept = np.array([[r.holds(e) for r in self.rules] for e in exchanges], dtype=bool).reshape(shape)
        weights = np.array([[r.weight * (r.dimension == d) for d in self.dimensions] for r in self.rules])
        unsafe = np.array([r.unsafe for r in self.rules])
        safe = np.asarray(kept[:, unsafe].all(1)) if unsafe.any() else None
        return Verdicts(Scores(self.dimensions, kept @ weights / weights.sum(0)), safe)

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)

    def which(self, exchange: Exchange) -> tuple[str, ...]:
        """The names of the rules that it breaks."""
        return tuple(r.name for r in self.rules if not r.holds(exchange))


def read_rules(path: Path) -> RulesJudge:
    """InputError names the file, the rule, what is wrong and what to do."""
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; write it, or empty evaluate.rules") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be a text file in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    if unknown := sorted(set(data) - {"rule"}):
        raise InputError(f"{path}: {unknown[0]!r} is not known here; each rule begins with a line [[rule]]")
    tables = data.get("rule")
    if not tables or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: has no rules; each begins with a line [[rule]]")
    rules = tuple(_rule(path, number, table) for number, table in enumerate(tables, 1))
    names = [r.name for r in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{path}: two rules are named {twice[0]!r}; a report tells them by name, give each its own")
    return RulesJudge(rules, f"the rules of {path.name}")


def _rule(path: Path, number: int, table: dict[str, Any]) -> Rule:
    try:
        return Rule.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path}: rule {table['name']!r}" if table.get("name") else f"{path}: rule number {number}"
        raise InputError(f"{where}: {_wrong(first)}") from None


def _wrong(error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(Rule.model_fields), n=1, cutoff=0.0)
        return f"{key} is not known in a rule; did you mean {near[0]!r}?" if near else f"{key!r} is not known in a rule"
    if error["type"] == "tuple_type":
        return f'{key} must be a list, such as ["sorry", "thank you"]'
    if error["type"] == "missing":
        return f"{key} is missing; add it"
    what = error["msg"].removeprefix("Value error, ")
    return f"{key}: {what} (found {error['input']!r})" if key else what


def _asked(exchange: Exchange) -> str:
    return next((m.content for m in reversed(exchange.prompt.messages) if m.role == "user"), "")


def _within(n: int, least: int, most: int | None) -> bool:
    return least <= n and (most is None or n <= most)
