"""A file scored by Ray's actors comes back as one scored in this process does, whatever dies meanwhile."""

import csv
import json
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from trueline.engines.ray.cluster import cluster
from trueline.engines.ray.ordered import ordered_map
from trueline.errors import InputError, RunError
from trueline.loop.score_file import Elsewhere, score_file
from trueline.records import Scores

ray = pytest.importorskip("ray")
DIMENSIONS = ("quality", "safety")
ROWS = 4_500


@dataclass(frozen=True)
class ByLength:
    """quality: letters of the answer; safety: letters of the prompt. An answer that says so kills the process, once, or
    breaks it.
    """

    dimensions = DIMENSIONS
    dead: Path | None = None

    def score(self, exchanges):
        texts = [e.completion.text for e in exchanges]
        if "die" in texts and self.dead and not self.dead.exists():
            self.dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "break" in texts:
            raise RuntimeError("it broke")
        return Scores(
            DIMENSIONS,
            np.array(
                [[len(t), len(e.prompt.messages[-1].content)] for t, e in zip(texts, exchanges, strict=True)],
                dtype=float,
            ),
        )


@pytest.fixture(scope="module", autouse=True)
def cluster_of_two():
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with cluster("", 3):
        yield


def by_ray(model, source, target, on_progress=lambda share: None):
    return score_file(model, source, target, on_progress, Elsewhere(partial(ordered_map, workers=2), lambda: model))


def prompt(i):
    return "p" * (1 + i % 13)


def answer(i):
    return "a" * (1 + i % 57)


def write_lines(path):
    rows = [json.dumps({"id": i, "prompt": prompt(i), "completion": answer(i)}) for i in range(ROWS)]
    rows[7], rows[2_000], rows[4_400] = "{not json", '{"id": 2000, "prompt": "no answer"}', ""
    path.write_text("\n".join(rows), "utf-8")


def write_csv(path):
    rows = [[str(i), prompt(i), answer(i)] for i in range(ROWS)]
    rows[7], rows[2_000], rows[3_000][2] = ["7", "more", "cells", "than"], ["2000", "no answer"], 'a "b"\nc, d'
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["id", "prompt", "completion"], *rows])


def write_parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    answers = [None if i in (7, 2_000) else answer(i) for i in range(ROWS)]
    kinds = pa.array(["x", "y", None] * (ROWS // 3)).dictionary_encode()
    table = pa.table({"id": range(ROWS), "kind": kinds, "prompt": [prompt(i) for i in range(ROWS)], "answer": answers})
    pq.write_table(table, path, row_group_size=1_700)


@pytest.mark.parametrize("write", [write_lines, write_csv, write_parquet])
def test_the_same_file_counts_and_errors_as_in_this_process(tmp_path, write):
    ending = {write_lines: "jsonl", write_csv: "csv", write_parquet: "parquet"}[write]
    source, shares = tmp_path / f"in.{ending}", []
    write(source)
    local = score_file(ByLength(), source, tmp_path / f"local.{ending}")
    spread = by_ray(ByLength(), source, tmp_path / f"ray.{ending}", shares.append)
    assert (tmp_path / f"ray.{ending}").read_bytes() == (tmp_path / f"local.{ending}").read_bytes()
    assert spread == local and len(local.errors) == 2 and local.scored > ROWS - 4
    assert shares == sorted(shares) and len(shares) > 3 and shares[-1] == 1


def test_an_actor_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path):
    source, target, dead = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "dead"
    rows = [{"id": i, "prompt": prompt(i), "answer": "die" if i == 2_500 else answer(i)} for i in range(6_000)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = by_ray(ByLength(dead), source, target)
    assert dead.exists() and found.scored == 6_000
    assert [json.loads(line) for line in target.read_text().splitlines()] == [
        {**row, "scores": {"quality": len(row["answer"]), "safety": len(row["prompt"])}} for row in rows
    ]


def test_work_that_fails_is_said_in_one_line_and_the_old_file_stays(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "a", "answer": "b"}\n' * 2_000 + '{"prompt": "a", "answer": "break"}')
    target.write_text("old")
    with pytest.raises(RunError, match="a Ray worker failed: RuntimeError: it broke") as caught:
        by_ray(ByLength(), source, target)
    assert "\n" not in str(caught.value) and target.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_csv_with_an_open_quotation_mark_is_refused_as_in_this_process(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("prompt,completion\n" + "a,b\n" * 2_000 + 'a,"b\n')
    with pytest.raises(InputError) as local:
        score_file(ByLength(), source, tmp_path / "out.csv")
    with pytest.raises(InputError, match="quotation mark left open") as spread:
        by_ray(ByLength(), source, tmp_path / "out.csv")
    assert str(spread.value) == str(local.value)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'trueline\[ray\]'"):
        next(iter(ordered_map(list, lambda: str, 1)))
