"""openbmb/UltraFeedback and its binarised forms; JSON lines, a JSON array or Parquet.

UltraFeedback: `instruction` and `completions`, each with GPT-4's `annotations` of 1 to 5 (instruction_following,
honesty, truthfulness, helpfulness). A mark counts where the project has a dimension of its name; else helpfulness
stands for quality. "N/A" is "not applicable". The marks are a model's, so that its annotator is a simulated one.
Binarised: `prompt` (or `instruction`), `chosen` and `rejected` (or `chosen_response`, `rejected_response`), as texts or
dialogues; stored as "better" (2 of 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, any_rows, text_of
from trueline.feedback.formats.marks import (
    STRENGTH,
    answer_of,
    dimension_of_preference,
    named,
    pair,
    prompt_of,
    rated,
    whole,
)
from trueline.records import Annotator, Exchange, Prompt, Rating

JUDGE = Annotator("UltraFeedback GPT-4", simulated=True)
SOURCE = "import:ultrafeedback"
NOT_APPLICABLE = "N/A"


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return any_rows(path, lambda row: _parse(row, dimensions))


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    chosen = next((n for n in ("chosen", "chosen_response") if n in row), None)
    if chosen:
        return _pair(row, chosen, dimensions)
    prompt = Prompt.from_user(text_of(row, "instruction"))
    completions = row.get("completions")
    if not isinstance(completions, list) or not completions:
        raise BadRow("has no completions, and no chosen and rejected")
    exchanges: list[Exchange] = []
    ratings: dict[tuple[str, str], Rating] = {}  # two models may give the same answer: the first one's marks count
    for given in completions:
        if not isinstance(given, dict):
            raise BadRow("a completion needs a response and annotations")
        exchange = Exchange.of(prompt, text_of(given, "response"), SOURCE)
        exchanges.append(exchange)
        for rating in rated(exchange, named(_marks(given.get("annotations")), dimensions), JUDGE):
            ratings.setdefault((rating.completion_id, rating.dimension), rating)
    return Item(tuple(exchanges), tuple(ratings.values()))


def _marks(annotations: Any) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name, given in annotations.items() if isinstance(annotations, dict) else ():
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, dict) and one.get("Rating") is not None and name not in found:
                mark = one["Rating"]
                found[name] = None if mark == NOT_APPLICABLE else whole(mark, name, 1, 5)
    return found


def _pair(row: Any, chosen: str, dimensions: tuple[str, ...]) -> Item:
    if "annotator" in row:  # its labels are somebody's, and not a model's
        raise BadRow("names its annotator, as what is exported for TRL; import it as trl")
    rejected = chosen.replace("chosen", "rejected")
    asked = next((n for n in ("prompt", "instruction") if row.get(n)), None)
    if asked is None and isinstance(row[chosen], list):
        prompt = prompt_of(row[chosen][:-1], chosen)
    else:
        prompt = prompt_of(row.get(asked or "prompt"), asked or "prompt")
    answers = (answer_of(row[chosen], chosen), answer_of(row.get(rejected), rejected))
    return pair(prompt, *answers, -STRENGTH, dimension_of_preference(dimensions), JUDGE, SOURCE)
