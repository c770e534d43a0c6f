"""Label Studio's JSON export: tasks with `data` and `annotations`, whose `result` holds what was said.

A rating (stars), a number or a choice of "1" to "5" that is named like a dimension is a rating; `to_name` tells of
which answer where there are two. A pairwise result, and a choice that names a side, is a preference ("better", 2 of 3)
in the dimension of its name, else overall. Cancelled annotations and predictions are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, json_rows
from trueline.feedback.formats.fields import Asked, asked_of, plain
from trueline.feedback.formats.marks import STRENGTH, whole
from trueline.feedback.labelling.records import OVERALL
from trueline.records import Annotator, Comparison, Rating

SOURCE = "import:label_studio"


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_rows(path, lambda row: _parse(row, dimensions))


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    asked = asked_of(row.get("data"), SOURCE)
    ratings: list[Rating] = []
    comparisons: list[Comparison] = []
    annotations = row.get("annotations", row.get("completions"))
    if not isinstance(annotations, list):
        raise BadRow("has no annotations")
    for given in annotations:
        if not isinstance(given, Mapping) or not isinstance(given.get("result"), list):
            raise BadRow("an annotation needs a result")
        if given.get("was_cancelled"):
            continue
        for result in given["result"]:
            if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
                continue  # a relation between results
            ratings += _ratings(asked, result, _person(given), dimensions)
            comparisons += _comparisons(asked, result, _person(given), dimensions)
    return Item(asked.exchanges, tuple(ratings), tuple(comparisons))


def _person(annotation: Mapping[str, Any]) -> Annotator:
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("id")
    return Annotator(f"label studio {'unnamed' if by is None else by}")


def _about(result: Mapping[str, Any], dimensions: tuple[str, ...]) -> str | None:
    """The dimension that a result's name begins with."""
    name = plain(str(result.get("from_name", "")))
    return next((d for d in dimensions if name.startswith(plain(d))), None)


def _ratings(
    asked: Asked, result: Mapping[str, Any], person: Annotator, dimensions: tuple[str, ...]
) -> Iterator[Rating]:
    value, dimension = result["value"], _about(result, dimensions)
    mark = value.get("rating", value.get("number"))
    chosen = value.get("choices")
    if mark is None and isinstance(chosen, list) and len(chosen) == 1 and str(chosen[0]).strip().isdecimal():
        mark = chosen[0]
    if mark is None or dimension is None:
        return
    which = 0
    if len(asked.names) == 2:
        said = next((s for s in (result.get("to_name"), result.get("from_name")) if _side(asked, s) is not None), None)
        if said is None:
            raise BadRow(f"{result.get('from_name')}: which of the two answers is it about?")
        which = _side(asked, said) or 0
    yield Rating(asked.exchanges[which].completion.id, dimension, whole(mark, dimension, 1, 5), person)


def _side(asked: Asked, name: Any) -> int | None:
    """The answer whose name a tag's name ends with; None where it names both."""
    said = plain(str(name))
    if all(n in said for n in asked.names):
        return None
    return next((i for i, n in enumerate(asked.names) if said.endswith(n)), None)


def _comparisons(
    asked: Asked, result: Mapping[str, Any], person: Annotator, dimensions: tuple[str, ...]
) -> Iterator[Comparison]:
    if len(asked.names) < 2:
        return
    value = result["value"]
    chosen = value.get("choices")
    if "selected" in value:
        side = asked.side(value["selected"])
    elif isinstance(chosen, list) and len(chosen) == 1 and not str(chosen[0]).strip().isdecimal():
        try:
            side = asked.side(chosen[0])
        except BadRow:
            return  # a choice about something else
    else:
        return
    a, b = (e.completion.id for e in asked.exchanges)
    preference = 0 if side is None else (-STRENGTH, STRENGTH)[side]
    yield Comparison(a, b, _about(result, dimensions) or OVERALL, preference, person)
