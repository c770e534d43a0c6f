"""Exporting: what people said comes out as it was said, and what counts goes in again as the same snapshot."""

import csv
import json
import time

import pytest
import sqlalchemy as sa

from trueline.config import LabellingConfig
from trueline.errors import InputError
from trueline.feedback import queue_tables as q
from trueline.feedback.exporting.export import KINDS, export
from trueline.feedback.exporting.writing import harmless
from trueline.feedback.importing import import_file
from trueline.feedback.labelling.items import Item, add_items
from trueline.feedback.labelling.judging import flag, skip, submit, undo
from trueline.feedback.labelling.queue import Queue
from trueline.feedback.labelling.records import OVERALL, Judgement
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating

DIMENSIONS = ("quality", "safety")
EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx")


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def labelled(store, n=4, rationale=""):
    """A queue with a judgement of each item by two people."""
    exchanges = [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(n) for j in range(2)]
    store.add(exchanges)
    pairs = zip(exchanges[::2], exchanges[1::2], strict=True)
    add_items(store, [Item(a.prompt.id, a.completion.id, b.completion.id) for a, b in pairs], 2)
    queue = Queue(store, LabellingConfig(again=0))
    for person in ("Anna", "Ben"):
        for k in range(n):
            judge(queue, person, f"{person}{k}", rationale)
    return queue


def judge(queue, person, key, rationale=""):
    task = queue.claim(person)
    marks = ({"quality": 5, "safety": None}, {"quality": 2, "safety": 4})
    said = Judgement(tuple(a.id for a in task.answers), -3, False, marks, ("kind",), rationale, 2.5)
    submit(queue, task.id, person, said, key, DIMENSIONS)
    return task


def rich(store):
    """Everything that a snapshot can hold."""
    long = Prompt((Message("system", "be kind"), Message("user", "你好")), {"split": "test", "facts": [1]})
    asked = Prompt.from_user("=cmd()")
    a, b = Exchange.of(long, "好", "policy:base", "length"), Exchange.of(long, "", "policy:base")
    c, d = Exchange.of(asked, "x", "import:own"), Exchange.of(asked, "y\nz\u2028", "policy:r1")
    bare, anna, robot = Exchange.of(asked, "nobody judged this"), Annotator("Anna"), Annotator("robot", True)
    ids = [e.completion.id for e in (a, b, c, d)]
    ratings = [Rating(ids[0], "quality", 5, anna), Rating(ids[0], "safety", None, anna)]
    ratings += [Rating(ids[0], "quality", 1, robot), Rating(ids[2], "quality", 3, robot)]
    comparisons = [Comparison(ids[0], ids[1], "quality", -3, anna), Comparison(ids[2], ids[3], OVERALL, 0, robot, True)]
    store.add([a, b, c, d, bare], ratings, comparisons, [Prompt.from_user("not answered")])
    store.add((), [Rating(ids[2], "quality", 4, robot)])


def test_our_own_lines_come_back_as_the_same_snapshot(store, tmp_path):
    rich(store)
    labelled(store)
    export(store, "jsonl", tmp_path / "all.jsonl")
    with FeedbackStore.open(tmp_path / "second.db") as second:
        report = import_file(second, "jsonl", tmp_path / "all.jsonl", DIMENSIONS)
        assert report.errors == ()
        assert second.snapshot().sha256 == store.snapshot().sha256
        again = import_file(second, "jsonl", tmp_path / "all.jsonl", DIMENSIONS)
        assert again.repeated == again.rows_read and not any(vars(again.added).values())
    assert import_file(store, "jsonl", tmp_path / "all.jsonl", DIMENSIONS).repeated == again.rows_read


def test_judgements_are_told_as_they_were_said_and_undone(store, tmp_path):
    queue = labelled(store, 2, "because")
    undo(queue, "Ben", "u1")
    task = queue.claim("Ben")
    flag(queue, task.id, "Ben", "harmful", "f1")
    skip(queue, task.id, "Ben", "too hard", "s1")
    assert export(store, "judgements", tmp_path / "x.jsonl").rows == {"judgements": 7}
    rows = lines(tmp_path / "x.jsonl")
    assert [r["kind"] for r in rows] == ["judge"] * 4 + ["undo", "flag", "skip"]
    assert [r["event"] for r in rows] == sorted(r["event"] for r in rows)
    with store.engine.connect() as c:
        stored = {r.event: r.content for r in c.execute(sa.select(q.judgements))}
    for row in rows[:4]:
        assert [row["left_id"], row["right_id"]] == stored[row["event"]]["shown"]
        assert (row["preference"], row["left_marks"]["quality"], row["right_marks"]["quality"]) == (-3, 5, 2)
        assert (row["reasons"], row["rationale"], row["seconds"]) == (["kind"], "because", 2.5)
        assert row["left"].startswith("answer") and row["messages"][0]["content"].startswith("question")
    undone = rows[4]
    assert undone["item"] == rows[3]["item"] and undone["left_id"] == rows[3]["left_id"]
    assert rows[5]["reason"] == "harmful" and rows[6]["reason"] == "too hard"


@pytest.mark.parametrize("evil", EVIL)
def test_csv_cells_are_no_formulas_and_numbers_stay(file_store, tmp_path, evil):
    labelled(file_store, 1, evil)
    export(file_store, "judgements", tmp_path / "x.csv")
    export(file_store, "judgements", tmp_path / "x.jsonl")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["rationale"] for r in rows] == [f"'{evil}"] * 2
    assert [r["rationale"] for r in lines(tmp_path / "x.jsonl")] == [evil] * 2
    assert {r["preference"] for r in rows} == {"-3"} and {r["left_quality"] for r in rows} == {"5"}
    assert not any(str(cell).startswith(EVIL) for r in rows for k, cell in r.items() if k != "preference")


def test_a_cell_in_the_middle_of_which_a_formula_stands_is_left_alone():
    assert [harmless(x) for x in ("a=1", -3, None, True, "＝1")] == ["a=1", -3, None, "true", "'＝1"]


def test_preferences_have_strength_and_weight_and_no_ties(store, tmp_path):
    rich(store)
    export(store, "preferences", tmp_path / "x.jsonl", {"Anna": 0.5})
    [row] = lines(tmp_path / "x.jsonl")
    assert row["chosen"] == [{"role": "assistant", "content": "好"}] and row["rejected"][0]["content"] == ""
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert (row["strength"], row["weight"], row["split"], row["dimension"]) == (3, 0.5, "test", "quality")


def test_ratings_that_count_now(store, tmp_path):
    rich(store)
    export(store, "ratings", tmp_path / "x.jsonl")
    found = {
        (r["completion"][0]["content"], r["dimension"], r["annotator"]): r["value"] for r in lines(tmp_path / "x.jsonl")
    }
    assert found == {
        ("好", "quality", "Anna"): 5,
        ("好", "safety", "Anna"): None,
        ("好", "quality", "robot"): 1,
        ("x", "quality", "robot"): 4,
    }


def test_what_was_taken_back_does_not_count(store, tmp_path):
    queue = labelled(store, 1)
    undo(queue, "Ben", "u1")
    export(store, "preferences", tmp_path / "x.jsonl")
    export(store, "ratings", tmp_path / "y.jsonl")
    assert {r["annotator"] for r in lines(tmp_path / "x.jsonl") + lines(tmp_path / "y.jsonl")} == {"Anna"}


def test_a_data_set_of_parquet_with_its_card(store, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    rich(store)
    labelled(store, 30)
    assert export(store, "dataset", tmp_path / "set").rows == {"preferences": 61, "ratings": 30 * 8 + 4}
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert (
        card.startswith("---\nconfigs:\n- config_name: preferences\n") and "path: preferences/train-*.parquet" in card
    )
    rows = [r for path in sorted(tmp_path.glob("set/preferences/*.parquet")) for r in pq.read_table(path).to_pylist()]
    assert len(rows) == 61 and {r["strength"] for r in rows} == {3}
    assert rows[0]["chosen"][0]["role"] == "assistant"
    export(store, "dataset", tmp_path / "set")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something else"):
        export(store, "dataset", tmp_path / "mine")


def test_datasets_reads_the_folder(file_store, tmp_path):
    datasets = pytest.importorskip("datasets")
    labelled(file_store, 30)
    export(file_store, "dataset", tmp_path / "set")
    found = datasets.load_dataset(str(tmp_path / "set"), "preferences", cache_dir=str(tmp_path / "cache"))
    assert sum(len(part) for part in found.values()) == 60


def test_a_snapshot_with_its_hash(store, tmp_path):
    rich(store)
    done = export(store, "snapshot", tmp_path / "s.json")
    assert FeedbackSnapshot.load(tmp_path / "s.json").sha256 == done.sha256 == store.snapshot().sha256


def test_an_empty_store_gives_empty_files(store, tmp_path):
    for kind in KINDS:
        done = export(store, kind, tmp_path / kind)
        assert not any(done.rows.values()) and done.path.exists()


def test_an_unknown_kind_and_a_place_of_no_use(file_store, tmp_path):
    with pytest.raises(InputError, match="did you mean 'judgements'"):
        export(file_store, "judgments", tmp_path / "x")
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match="cannot be written"):
        export(file_store, "jsonl", tmp_path / "file" / "x")
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_fifty_thousand_judgements_take_seconds(file_store, tmp_path, name):
    labelled(file_store, 5)
    with file_store.engine.begin() as c:
        rows = [dict(r) for r in c.execute(sa.select(q.judgements)).mappings()]
        more = [{**r, "event": 100 + i * 10 + k, "key": f"{i}-{k}"} for i in range(5_000) for k, r in enumerate(rows)]
        c.execute(q.judgements.insert(), more)
    started = time.process_time()
    assert export(file_store, "judgements", tmp_path / name).rows == {"judgements": 50_010}
    assert time.process_time() - started < 10
