"""A whole file of prompts and answers scored by a reward model: every row again, with its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.formats import Item, RowError
from trueline.loop.row_files import Batch, Judged, open_rows
from trueline.reward.base import RewardModel
from trueline.reward.ensemble import Ensemble

NAMED = 1000


@dataclass
class Scored:
    """scored, unscored: rows of the result with scores and without; left_out: rows that could not be read at all;
    errors: why, of the first 1,000 rows without scores.
    """

    scored: int = 0
    unscored: int = 0
    left_out: int = 0
    errors: list[RowError] = field(default_factory=list)


def score_file(
    model: RewardModel, source: Path, target: Path, on_progress: Callable[[float], None] = lambda share: None
) -> Scored:
    """Write `target`, whole or not at all. InputError: a file of no use, or `target` is `source` or of another kind."""
    names = ("scores", "std") if isinstance(model, Ensemble) else ("scores",)
    added = dict.fromkeys(names, model.dimensions)
    rows = open_rows(source, added)
    if target.suffix != source.suffix:
        raise InputError(f"{target}: its name must end in {source.suffix}, as that of {source.name} does")
    if target.exists() and (target.is_dir() or target.samefile(source)):
        raise InputError(
            f"{target}: is {'a folder' if target.is_dir() else 'the input'}; name another file for the result"
        )
    counts = Scored()

    def judged() -> Iterator[tuple[Batch, list[Judged | None]]]:
        for batch in rows.batches():
            yield batch, _judge(model, batch, counts)
            on_progress(batch.share)
        if not counts.scored + counts.unscored + counts.left_out:
            raise InputError(f"{source}: holds no rows; nothing to score")

    durable.fill_file(target, lambda handle: rows.write(handle, judged()))
    return counts


def _judge(model: RewardModel, batch: Batch, counts: Scored) -> list[Judged | None]:
    good = [i for i, found in enumerate(batch.found) if isinstance(found, Item)]
    bad = [found for found in batch.found if isinstance(found, RowError)]
    counts.scored += len(good)
    counts.unscored += len(bad) - batch.lost
    counts.left_out += batch.lost
    counts.errors += bad[: NAMED - len(counts.errors)]
    result: list[Judged | None] = [None] * len(batch.found)
    if good:
        scores = model.score([e for found in batch.found if isinstance(found, Item) for e in found.exchanges])
        tables = {"scores": scores.values} if scores.std is None else {"scores": scores.values, "std": scores.std}
        for place, i in enumerate(good):
            result[i] = {
                name: dict(zip(scores.dimensions, values[place].tolist(), strict=True))
                for name, values in tables.items()
            }
    return result
