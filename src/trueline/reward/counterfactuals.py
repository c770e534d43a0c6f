"""Changes to an answer that should not change its score, or only one way, as a table that users write.

CheckList's invariance and directional tests (Ribeiro et al. 2020). CSV columns: name; kind (replace, append, prepend or
repeat); find and with; expect (same, not higher or not lower); tolerance, in standard deviations of the score. Rows of
one name are one test: the replacements of a test are made together, in prompt and answer alike, so that "he" and "his"
change in one go and an answer still fits its prompt; what is appended, prepended or repeated stands in the answer only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from trueline.errors import InputError
from trueline.records import Exchange, Message, Prompt

Kind = Literal["replace", "append", "prepend", "repeat"]
Expect = Literal["same", "not higher", "not lower"]
COLUMNS = ("name", "kind", "find", "with", "expect", "tolerance")
DEFAULT_TABLE = Path(__file__).with_name("counterfactuals.csv")
_HAN = re.compile("[㐀-䶿一-鿿]")


@dataclass(frozen=True)
class Counterfactual:
    """swaps: (find, with) of a replacement; text: what is added; both empty for repeat."""

    name: str
    kind: Kind
    expect: Expect
    tolerance: float
    swaps: tuple[tuple[str, str], ...] = ()
    text: str = ""

    def variant(self, exchange: Exchange) -> Exchange | None:
        """The changed exchange; None where there is nothing to change, or the added text is of another language."""
        said = exchange.completion.text
        if self.kind == "replace":
            changed = self._swapped(said)
            turns = tuple(Message(m.role, self._swapped(m.content)) for m in exchange.prompt.messages)
            if changed == said:
                return None
            return _with(exchange, Prompt(turns, exchange.prompt.meta), changed)
        if not said.strip():
            return None
        gap = "" if _HAN.search(said) else " "
        if self.kind == "repeat":
            return _with(exchange, exchange.prompt, f"{said}{gap}{said}")
        if bool(_HAN.search(self.text)) != bool(_HAN.search(said)):
            return None
        parts = (said, self.text) if self.kind == "append" else (self.text, said)
        return _with(exchange, exchange.prompt, gap.join(parts))

    def passes(self, change: float) -> bool:
        """change: of the score, in standard deviations."""
        return not (
            (change > self.tolerance and self.expect != "not lower")
            or (change < -self.tolerance and self.expect != "not higher")
        )

    def _swapped(self, text: str) -> str:
        """Whole words whatever their case, of Chinese any place; the longest first; a capital stays one."""
        known = {find.lower(): put for find, put in self.swaps}
        longest = sorted(known, key=lambda w: (-len(w), w))
        pattern = "|".join(re.escape(w) if _HAN.search(w) else rf"(?<!\w){re.escape(w)}(?!\w)" for w in longest)

        def put(match: re.Match[str]) -> str:
            found = known[match[0].lower()]
            return found[:1].upper() + found[1:] if match[0][:1].isupper() else found

        return re.sub(pattern, put, text, flags=re.IGNORECASE)


def read_table(path: Path) -> list[Counterfactual]:
    """The tests of a table, in its order; InputError names the line of what cannot be used."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text; save the table as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, Counterfactual] = {}
    try:
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{path}, line 1: the columns must be {','.join(COLUMNS)}")
        for cells in reader:
            try:
                row = _row(cells)
                found[row.name] = _joined(found[row.name], row) if row.name in found else row
            except ValueError as error:
                raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num + 1}: {error}; is a quotation mark left open?") from error
    if not found:
        raise InputError(f"{path}: holds no test; write one, such as thanks,append,,Thank you.,not lower,0.5")
    return list(found.values())


def _row(cells: dict[str, str | None]) -> Counterfactual:
    if None in cells or None in cells.values():
        raise ValueError(f"must have {len(COLUMNS)} cells; put a text that holds a comma in quotation marks")
    name, kind, find, put, expect, tolerance = (str(cells[c]).strip() for c in COLUMNS)
    if not name:
        raise ValueError("has no name")
    if kind not in get_args(Kind):
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(get_args(Kind))}")
    if expect not in get_args(Expect):
        raise ValueError(f"expect is {expect!r}, must be one of {', '.join(get_args(Expect))}")
    try:
        allowed = float(tolerance)
    except ValueError:
        allowed = -1.0
    if not 0 <= allowed < float("inf"):
        raise ValueError(f"tolerance is {tolerance!r}, must be 0 or more standard deviations, such as 0.5")
    if bool(find) != (kind == "replace") or bool(put) != (kind != "repeat"):
        needs = {"replace": "both find and with", "repeat": "neither find nor with"}.get(kind, "with, and no find")
        raise ValueError(f"{kind} needs {needs}")
    if kind == "replace":
        return Counterfactual(name, kind, expect, allowed, swaps=((find, put),))  # type: ignore[arg-type]
    return Counterfactual(name, kind, expect, allowed, text=put)  # type: ignore[arg-type]


def _joined(test: Counterfactual, row: Counterfactual) -> Counterfactual:
    if test.kind != "replace" or (row.kind, row.expect, row.tolerance) != (test.kind, test.expect, test.tolerance):
        raise ValueError(f"a second row of {row.name!r} must be a replace with the same expect and tolerance")
    if row.swaps[0][0].lower() in {find.lower() for find, _ in test.swaps}:
        raise ValueError(f"{row.swaps[0][0]!r} is replaced twice in {row.name!r}")
    return replace(test, swaps=(*test.swaps, *row.swaps))


def variants(test: Counterfactual, exchanges: Sequence[Exchange]) -> list[tuple[Exchange, Exchange]]:
    """(as it was, as it would be) for each exchange that the test can change."""
    return [(e, changed) for e in exchanges if (changed := test.variant(e)) is not None]


def _with(exchange: Exchange, prompt: Prompt, text: str) -> Exchange:
    return Exchange.of(prompt, text, exchange.completion.source, exchange.completion.finish)
