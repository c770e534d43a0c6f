"""A file of answers scored: every row comes back as it was with its scores, or is named; whole or not at all."""

import csv
import json
import os
import sys
import tracemalloc

import numpy as np
import pytest

from trueline.errors import InputError
from trueline.loop.row_files import BATCH
from trueline.loop.score_file import score_file
from trueline.records import Scores
from trueline.reward.ensemble import Ensemble

DIMENSIONS = ("quality", "safety")


class ByLength:
    """quality: letters of the answer; safety: letters of the prompt's last turn."""

    dimensions = DIMENSIONS

    def __init__(self, more=0.0, stop_at=None):
        self.more, self.stop_at, self.batches = more, stop_at, []

    def score(self, exchanges):
        self.batches.append(len(exchanges))
        if len(self.batches) == self.stop_at:
            raise KeyboardInterrupt
        found = [[len(e.completion.text), len(e.prompt.messages[-1].content)] for e in exchanges]
        return Scores(DIMENSIONS, np.array(found, dtype=float) + self.more)


def write_lines(path, rows):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), "utf-8")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_json_line_comes_back_with_its_scores_and_bad_ones_are_named(tmp_path):
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
    good = [
        {"id": 7, "prompt": "four", "completion": "abc", "tags": ["x", None]},
        {"messages": [*turns, {"role": "user", "content": "你好吗"}], "answer": "好"},
    ]
    rows = [good[0], "{not json", {"prompt": "no answer", "id": 3}, "", good[1]]
    source, target = write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    found = score_file(ByLength(), source, target)
    assert (found.scored, found.unscored, found.left_out) == (2, 1, 1)
    assert [str(e).split(": ")[0] for e in found.errors] == [f"{source}, line 2", f"{source}, line 3"]
    assert "is not valid JSON" in str(found.errors[0]) and "has no completion" in str(found.errors[1])
    assert lines(target) == [
        {**good[0], "scores": {"quality": 3.0, "safety": 4.0}},
        {**rows[2], "scores": None},
        {**good[1], "scores": {"quality": 1.0, "safety": 3.0}},
    ]


def test_a_csv_keeps_its_columns_and_gets_one_a_dimension(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    text = '\ufeffid,prompt,completion,quality\n1,four,"a, ""b""\nc",5\n2,,nothing,\n-3,five5,=1+1\n4,a,b,c,d\n'
    source.write_text(text, "utf-8")
    found = score_file(ByLength(), source, target)
    assert (found.scored, found.unscored, found.left_out) == (2, 1, 1)
    assert [(e.row, e.why.split()[1]) for e in found.errors] == [(4, "no"), (6, "more")]
    assert list(csv.reader(target.read_text("utf-8").splitlines(keepends=True))) == [
        ["id", "prompt", "completion", "quality", "score_quality", "score_safety"],
        ["1", "four", 'a, "b"\nc', "5", "8.0", "4.0"],
        ["2", "", "nothing", "", "", ""],
        ["-3", "five5", "'=1+1", "", "4.0", "5.0"],
    ]


def test_parquet_keeps_its_types(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    n = BATCH + 5
    table = pa.table(
        {
            "messages": [[{"role": "user", "content": "x" * (1 + i % 3)}] for i in range(n)],
            "answer": ["y" * (1 + i % 7) if i != 3 else None for i in range(n)],
            "when": pa.array(range(n), pa.timestamp("ns")),
            "kind": pa.array(["a"] * n).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    found = score_file(ByLength(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert (found.scored, found.unscored, str(found.errors[0]).split(", ")[1]) == (n - 1, 1, "row 4: has no completion")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(table)
    scores = out["scores"].to_pylist()
    assert scores[3] is None and scores[-1] == {"quality": float(1 + (n - 1) % 7), "safety": float(1 + (n - 1) % 3)}


def test_parquet_without_pyarrow_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"Parquet needs pyarrow.*trueline\[data\]"):
        score_file(ByLength(), tmp_path / "in.parquet", tmp_path / "out.parquet")


def test_an_ensemble_says_how_unsure_it_is(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", [{"prompt": "a", "completion": "bc"}, {"prompt": "a"}])
    score_file(Ensemble([ByLength(), ByLength(more=2.0)]), source, tmp_path / "out.jsonl")
    first, second = lines(tmp_path / "out.jsonl")
    assert first["scores"] == {"quality": 3.0, "safety": 2.0}
    assert first["std"] == pytest.approx(dict.fromkeys(DIMENSIONS, 2**0.5))
    assert second["scores"] is None and second["std"] is None
    (tmp_path / "in.csv").write_text("prompt,completion\na,bc\n")
    score_file(Ensemble([ByLength(), ByLength()]), tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0].endswith("std_quality,std_safety")


def test_a_run_that_is_stopped_leaves_the_old_file_and_nothing_else(tmp_path):
    row = {"prompt": "a", "completion": "b"}
    source, target = write_lines(tmp_path / "in.jsonl", [row] * (2 * BATCH)), tmp_path / "out.jsonl"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        score_file(ByLength(stop_at=2), source, target)
    assert target.read_text() == "old" and sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_file_larger_than_the_memory_it_takes(tmp_path, ending):
    n, text = 30 * BATCH, "word " * 200
    source, model, shares = tmp_path / f"in.{ending}", ByLength(), []
    row = json.dumps({"prompt": "a", "completion": text}) if ending == "jsonl" else f"a,{text}"
    with source.open("w") as handle:
        handle.write("" if ending == "jsonl" else "prompt,completion\n")
        handle.writelines(row + "\n" for _ in range(n))
    tracemalloc.start()
    found = score_file(model, source, tmp_path / f"out.{ending}", shares.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.scored == n and max(model.batches) == BATCH
    assert peak < source.stat().st_size / 3
    assert shares == sorted(shares) and shares[0] < 0.1 and shares[-1] == 1


@pytest.mark.parametrize(
    ("name", "content", "out", "why"),
    [
        ("in.jsonl", b'{"prompt": "a", "completion": "b"}', "in.jsonl", "is the input"),
        ("in.jsonl", b'{"prompt": "a", "completion": "b"}', "same.jsonl", "is the input"),
        ("in.jsonl", b'{"prompt": "a", "completion": "b"}', "out.csv", "must end in .jsonl"),
        ("in.jsonl", b'{"prompt": "a", "completion": "b", "scores": 1}', "out.jsonl", "line 1: has 'scores' already"),
        ("in.jsonl", b"\n", "out.jsonl", "is empty"),
        ("in.csv", b"prompt,completion\n", "out.csv", "holds no rows"),
        ("in.txt", b"a", "out.txt", "must end in .jsonl, .csv, .parquet"),
        ("in.csv", b"question,completion\na,b\n", "out.csv", "no column prompt or messages; it has question"),
        ("in.csv", b"prompt,completion,score_safety\na,b,1\n", "out.csv", "has 'score_safety' already"),
        ("in.csv", b"prompt,completion,prompt\na,b,1\n", "out.csv", "'prompt' twice"),
        ("in.csv", b"prompt,completion\na,b\na,\xff\n", "out.csv", "not UTF-8"),
        ("in.csv", b'prompt,completion\na,b\na,"b\n', "out.csv", "quotation mark left open"),
        ("in.parquet", b"PAR1 cut", "out.parquet", "not a Parquet file"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line_and_nothing_is_written(tmp_path, name, content, out, why):
    source = tmp_path / name
    source.write_bytes(content)
    if out.startswith("same"):
        os.link(source, tmp_path / out)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match=why) as caught:
        score_file(ByLength(), source, tmp_path / out)
    assert "\n" not in str(caught.value)
    assert source.read_bytes() == content and sorted(p.name for p in tmp_path.iterdir()) == before
