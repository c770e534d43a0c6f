"""A whole file of prompts and answers scored by a reward model: every row again, with its scores.

Piece by piece, here or by many processes: only cutting the file and writing the result is one process's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.formats import Item, RowError
from trueline.loop.row_files import Added, Judged, Piece, RowFile, open_rows
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

    def add(self, more: Scored) -> None:
        self.scored += more.scored
        self.unscored += more.unscored
        self.left_out += more.left_out
        self.errors += more.errors[: NAMED - len(self.errors)]


@dataclass(frozen=True)
class Part:
    """A piece that is scored: what is written of it, how much of the file lies behind it, its own counts."""

    widened: Any
    share: float
    counts: Scored


@dataclass(frozen=True)
class Elsewhere:
    """run(cut, start): work(piece) for each piece that `cut()` gives, in order, by other processes, each with the
    `work` that its `start()` gives; load: the model, once more in each of them.
    """

    run: Callable[[Callable[[], Iterable[Piece]], Callable[[], Callable[[Piece], Part]]], Iterable[Part]]
    load: Callable[[], RewardModel]


def score_file(
    model: RewardModel,
    source: Path,
    target: Path,
    on_progress: Callable[[float], None] = lambda share: None,
    elsewhere: Elsewhere | None = None,
) -> Scored:
    """Write `target`, whole or not at all. InputError: a file of no use, or `target` is `source` or of another kind."""
    source = source if elsewhere is None else source.resolve()
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

    def widened() -> Iterator[Any]:
        if elsewhere is None:
            parts: Iterable[Part] = map(partial(_score, model, rows), rows.pieces())
        else:
            parts = elsewhere.run(partial(_cut, source, added), partial(_start, elsewhere.load, source, added))
        for part in parts:
            counts.add(part.counts)
            yield part.widened
            on_progress(part.share)
        if not counts.scored + counts.unscored + counts.left_out:
            raise InputError(f"{source}: holds no rows; nothing to score")

    durable.fill_file(target, lambda handle: rows.write(handle, widened()))
    return counts


def _cut(source: Path, added: Added) -> Iterator[Piece]:
    return open_rows(source, added).pieces()


def _start(load: Callable[[], RewardModel], source: Path, added: Added) -> Callable[[Piece], Part]:
    return partial(_score, load(), open_rows(source, added))


def _score(model: RewardModel, rows: RowFile, piece: Piece) -> Part:
    batch = rows.read(piece)
    good = [i for i, found in enumerate(batch.found) if isinstance(found, Item)]
    bad = [found for found in batch.found if isinstance(found, RowError)]
    lost = batch.kept.count(None)
    judged: list[Judged | None] = [None] * len(batch.found)
    if good:
        scores = model.score([e for found in batch.found if isinstance(found, Item) for e in found.exchanges])
        tables = {"scores": scores.values} if scores.std is None else {"scores": scores.values, "std": scores.std}
        for place, i in enumerate(good):
            judged[i] = {
                name: dict(zip(scores.dimensions, values[place].tolist(), strict=True))
                for name, values in tables.items()
            }
    return Part(rows.widen(batch, judged), piece.share, Scored(len(good), len(bad) - lost, lost, bad))
