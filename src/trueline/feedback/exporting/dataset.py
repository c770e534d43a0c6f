"""A folder of Parquet shards with a dataset card, which `datasets.load_dataset(folder, "preferences")` reads."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.exporting import rows as r
from trueline.feedback.store import FeedbackStore
from trueline.records import SPLITS

SHARD = 100_000  # rows
GROUP = 2_000  # rows held in memory
CONFIGS = ("preferences", "ratings")


def write_dataset(store: FeedbackStore, folder: Path, weights: Mapping[str, float] | None = None) -> dict[str, int]:
    """Both kinds of labels by split, the split being by conversation. Returns rows by kind; replaces such a folder.

    InputError: a folder that holds something else, pyarrow is missing.
    """
    try:
        import pyarrow  # noqa: F401 (asked for before anything is written)
    except ImportError as error:
        raise InputError("Parquet needs pyarrow; pip install 'trueline[data]'") from error
    if folder.exists() and not (folder.is_dir() and ((folder / "README.md").exists() or not any(folder.iterdir()))):
        raise InputError(f"{folder}: holds something else; name a folder that is new, empty or such a data set")
    counts: dict[str, Counter[str]] = {}

    def fill(pending: Path) -> None:
        with r.look(store) as c:
            counts["preferences"] = _write(pending / "preferences", r.preferences(c, weights), _schema("preferences"))
            counts["ratings"] = _write(pending / "ratings", r.ratings(c, weights), _schema("ratings"))
        (pending / "README.md").write_text(card(counts), "utf-8")

    durable.write_folder(folder, fill)
    return {name: sum(n.values()) for name, n in counts.items()}


def card(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The front matter tells `datasets` which files are which split; empty splits have none."""
    lines = ["---", "configs:"]
    for name, splits in counts.items():
        if any(splits.values()):
            lines += [f"- config_name: {name}", "  data_files:"]
            for split in SPLITS:
                if splits.get(split):
                    lines += [f"  - split: {split}", f"    path: {name}/{split}-*.parquet"]
    size = sum(sum(s.values()) for s in counts.values())
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    lines += ["size_categories:", f"- {next((text for most, text in bounds if size < most), 'n>1M')}", "---", ""]
    lines += ["# Human feedback, exported by Trueline", "", "| | " + " | ".join(SPLITS) + " |", "|---" * 4 + "|"]
    lines += [f"| {name} | " + " | ".join(f"{s.get(x, 0):,}" for x in SPLITS) + " |" for name, s in counts.items()]
    return "\n".join([*lines, "", _FIELDS])


_FIELDS = """\
Splits are by conversation: no prompt, and no continuation of it, stands on two sides.

| field | what it is |
|---|---|
| `prompt` | turns of `role` and `content` |
| `chosen`, `rejected`; `completion` | the answer as an assistant's turn |
| `strength` | 1 (slightly) to 3 (much better); ties are left out |
| `value` | 1 (worst) to 5 (best), null for "not applicable" |
| `weight` | how much this annotator's labels count, 1 where nothing else was given |
| `both_bad` | both answers were called bad |
| `dimension` | what was judged |
| `annotator`, `simulated` | who judged; simulated annotators are no people |
"""


def _schema(kind: str) -> Any:
    import pyarrow as pa

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    own = {
        "preferences": [
            ("chosen", turns),
            ("rejected", turns),
            ("strength", pa.int8()),
            ("both_bad", pa.bool_()),
        ],
        "ratings": [("completion", turns), ("value", pa.int8())],
    }
    shared = [
        ("weight", pa.float64()),
        ("dimension", pa.string()),
        ("annotator", pa.string()),
        ("simulated", pa.bool_()),
    ]
    return pa.schema([("prompt", turns), *own[kind], *shared])


def _write(folder: Path, rows: Iterable[dict[str, Any]], schema: Any) -> Counter[str]:
    """SPLIT-NNNNN.parquet; a row group in memory for each split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    counts: Counter[str] = Counter()
    waiting: dict[str, list[dict[str, Any]]] = {s: [] for s in SPLITS}
    writers: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:

        def flush(split: str) -> None:
            shard = (counts[split] - 1) // SHARD
            if split not in writers or writers[split][0] != shard:
                if split in writers:
                    writers[split][1].close()
                name = folder / f"{split}-{shard:05d}.parquet"
                writers[split] = (shard, stack.enter_context(pq.ParquetWriter(name, schema, compression="zstd")))
            writers[split][1].write_table(pa.Table.from_pylist(waiting[split], schema))
            waiting[split] = []

        for row in rows:
            split = row.pop("split")
            waiting[split].append(row)
            counts[split] += 1
            if len(waiting[split]) == GROUP:
                flush(split)
        for split in SPLITS:
            if waiting[split]:
                flush(split)
    return counts
