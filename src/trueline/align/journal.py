"""metrics.jsonl, TensorBoard and the trackers that are asked for: a row a step, which survive a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from trueline import durable
from trueline.align.trackers import Trackers

Row = dict[str, Any]


@dataclass
class Journal:
    """Opened at a restored step, it drops the rows behind it, since they will come again."""

    path: Path
    board: SummaryWriter
    trackers: Trackers
    rows: list[Row]

    @classmethod
    def open(cls, folder: Path, step: int) -> Journal:
        path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(folder) if row["step"] <= step]
        durable.write_file(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        return cls(path, board, Trackers.open(folder), kept)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.board.close()
        self.trackers.close(failed=kind is not None)

    def add(self, row: Row) -> None:
        durable.append_row(self.path, row)
        self.rows.append(row)
        metrics = {name: value for name, value in row.items() if isinstance(value, int | float)}
        for name, value in metrics.items():
            self.board.add_scalar(name, value, row["step"])
        self.trackers.add(metrics, row["step"])


def read_metrics(folder: Path) -> list[Row]:
    """The rows of metrics.jsonl; a last line cut by a crash is left out."""
    return durable.read_rows(folder / "metrics.jsonl")
