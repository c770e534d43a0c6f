"""TRL's data sets: what its documentation asks for comes out, and what came out goes in again as it was said."""

import json

import pytest
from test_exporting import DIMENSIONS, labelled, lines, rich

from trueline.errors import InputError
from trueline.feedback.exporting.export import export
from trueline.feedback.exporting.trl import KINDS
from trueline.feedback.importing import import_file
from trueline.feedback.labelling.records import OVERALL
from trueline.feedback.preview import detect
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating

ASKED = Prompt(
    (Message("system", "be kind"), Message("user", "你好"), Message("assistant", "hi"), Message("user", "and?"))
)
GOOD, DULL, BAD = (Exchange.of(ASKED, text, "policy:base") for text in ("a lamp", "well", ""))
ANN, BEN, ROBOT = Annotator("Ann"), Annotator("Ben"), Annotator("robot", simulated=True)


def marked(store):
    """Marks of two dimensions by three voices, one changed, one withdrawn into "not applicable"."""
    marks = [
        (GOOD, "quality", 5, ANN),
        (GOOD, "quality", 2, ROBOT),
        (GOOD, "safety", 1, ANN),
        (DULL, "quality", 3, ANN),
    ]
    marks += [(BAD, "quality", 1, ANN), (BAD, "quality", None, BEN), (GOOD, "quality", 4, BEN)]
    said = [Rating(e.completion.id, d, value, who) for e, d, value, who in marks]
    store.add([GOOD, DULL, BAD], said, [], [Prompt.from_user("alone")])
    store.add((), [Rating(GOOD.completion.id, "quality", 5, ROBOT)])


def compared(store):
    """Comparisons alone, of one dimension: a tie, both bad, disagreement."""
    a, b, c = (e.completion.id for e in (GOOD, DULL, BAD))
    said = [
        (a, b, -3, ANN, False),
        (a, b, 1, ROBOT, False),
        (b, a, 2, BEN, False),
        (a, c, 0, ANN, False),
        (c, b, 1, BEN, True),
    ]
    store.add([GOOD, DULL, BAD], [], [Comparison(x, y, OVERALL, p, who, bad) for x, y, p, who, bad in said])


def written(store, kind, path, dimension=""):
    export(store, kind, path, dimension=dimension)
    if path.suffix == ".jsonl":
        return lines(path)
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def is_turns(value):
    return isinstance(value, list) and all(set(m) == {"role", "content"} for m in value)


def voices(snapshot):
    """Comparisons as what each person said of two texts, whichever stood first."""
    texts = {i: c.text for i, c in snapshot.completions.items()}
    return {
        (*sorted((texts[c.a_id], texts[c.b_id])), c.annotator, c.dimension, c.both_bad,
         abs(c.preference), texts[c.b_id if c.preference > 0 else c.a_id])
        for c in snapshot.comparisons if c.preference
    }  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_each_kind_has_the_columns_that_trl_documents(store, tmp_path, form):
    marked(store)
    compared(store)
    rows = {
        kind: written(store, kind, tmp_path / f"{kind}.{form}", "" if "prompts" in kind else OVERALL) for kind in KINDS
    }
    for row in rows["trl-preference"]:
        assert is_turns(row["prompt"]) and row["prompt"][-1]["role"] == "user"
        for side in ("chosen", "rejected"):
            assert is_turns(row[side]) and [m["role"] for m in row[side]] == ["assistant"]
    for row in rows["trl-unpaired"]:
        assert is_turns(row["prompt"]) and is_turns(row["completion"]) and type(row["label"]) is bool
        assert "chosen" not in row and "messages" not in row
    for row in rows["trl-messages"]:
        assert is_turns(row["messages"]) and row["messages"][-1]["role"] == "assistant"
        assert not {"prompt", "completion", "text"} & set(row), "TRL would take it for another type"
    for row in rows["trl-prompts"]:
        assert set(row) == {"prompt", "split"} and is_turns(row["prompt"])
    assert [len(rows[kind]) for kind in KINDS] == [4, 8, 2, 1]
    for some in rows.values():
        assert {row["split"] for row in some} <= {"train", "validation", "test"}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_preferences_come_back_as_they_were_said(store, tmp_path, form):
    rich(store)
    compared(store)
    export(store, "trl-preference", tmp_path / f"x.{form}", dimension=OVERALL)
    assert detect(tmp_path / f"x.{form}", DIMENSIONS) == "trl"
    with FeedbackStore.open(tmp_path / "second.db") as second:
        assert import_file(second, "trl", tmp_path / f"x.{form}", DIMENSIONS).errors == ()
        found = voices(second.snapshot())
        assert found == {v for v in voices(store.snapshot()) if v[3] == OVERALL} and len(found) == 4
        (asked,) = second.snapshot().prompts.values()
        assert asked.messages == ASKED.messages


def test_marks_come_back_but_those_that_say_neither(store, tmp_path):
    marked(store)
    rows = written(store, "trl-unpaired", tmp_path / "x.jsonl", "quality")
    assert sorted((r["completion"][0]["content"], r["value"], r["label"]) for r in rows) == [
        ("", 1, False), ("a lamp", 4, True), ("a lamp", 5, True), ("a lamp", 5, True)
    ]  # fmt: skip
    with FeedbackStore.open(tmp_path / "second.db") as second:
        assert (
            import_file(second, detect(tmp_path / "x.jsonl", DIMENSIONS), tmp_path / "x.jsonl", DIMENSIONS).errors == ()
        )
        kept = {r for r in store.snapshot().ratings if r.dimension == "quality" and r.value not in (None, 3)}
        assert set(second.snapshot().ratings) == kept and len(kept) == 4


def test_without_marks_a_comparison_gives_its_two_sides(store, tmp_path):
    compared(store)
    rows = written(store, "trl-unpaired", tmp_path / "x.jsonl")
    wanted = [r["completion"][0]["content"] for r in rows if r["label"]]
    assert sorted(wanted) == ["a lamp", "a lamp", "well"], "of two bad answers none is wanted"
    assert len(rows) == 8


def test_turns_to_imitate_are_those_that_people_liked(store, tmp_path):
    marked(store)
    rows = written(store, "trl-messages", tmp_path / "x.jsonl", "quality")
    assert [r["messages"][-1]["content"] for r in rows] == ["a lamp"]
    assert [m["role"] for m in rows[0]["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert written(store, "trl-messages", tmp_path / "y.jsonl", "safety") == []
    with FeedbackStore.open(tmp_path / "second.db") as second:
        import_file(second, detect(tmp_path / "x.jsonl", DIMENSIONS), tmp_path / "x.jsonl", DIMENSIONS)
        assert second.snapshot().labels == 0
        assert {c.id for c in second.snapshot().completions.values()} | {GOOD.completion.id} == {GOOD.completion.id}


def test_without_marks_those_that_won_more_often_than_not(store, tmp_path):
    compared(store)
    rows = written(store, "trl-messages", tmp_path / "x.jsonl")
    assert [(r["messages"][-1]["content"], r["simulated"]) for r in rows] == [("a lamp", False)]


def test_prompts_come_back(store, tmp_path):
    rich(store)
    export(store, "trl-prompts", tmp_path / "x.parquet")
    with FeedbackStore.open(tmp_path / "second.db") as second:
        assert import_file(second, "trl", tmp_path / "x.parquet", DIMENSIONS).errors == ()
        assert {p.id for p in second.prompts()} == {p.id for p in store.prompts()}


def test_of_several_dimensions_one_must_be_named(store, tmp_path):
    marked(store)
    with pytest.raises(InputError, match="several dimensions: quality, safety; name one with --dimension"):
        export(store, "trl-unpaired", tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="helpful: no such labels; there is quality, safety"):
        export(store, "trl-unpaired", tmp_path / "x.jsonl", dimension="helpful")
    with pytest.raises(InputError, match="goes with the trl- kinds"):
        export(store, "ratings", tmp_path / "x.jsonl", dimension="quality")
    assert not list(tmp_path.glob("x.*"))


def test_what_others_wrote_for_trl_is_read(file_store, tmp_path):
    """Rows from TRL's documentation: standard and conversational, the prompt apart or not."""
    user, sky, green = {"role": "user", "content": "What color is the sky?"}, "It is blue.", "It is green."
    rows = [
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
        {
            "chosen": [user, {"role": "assistant", "content": sky}],
            "rejected": [user, {"role": "assistant", "content": green}],
        },
        {"prompt": "The sky is", "completion": " red.", "label": False},
        {"messages": [user, {"role": "assistant", "content": "Blue."}]},
        {"prompt": [{"role": "user", "content": "And the sea?"}]},
        {"prompt": "The sky is", "completion": " red.", "label": "no"},
        {
            "chosen": [user, {"role": "assistant", "content": sky}],
            "rejected": [{"role": "assistant", "content": green}],
        },
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = import_file(file_store, "trl", tmp_path / "x.jsonl", DIMENSIONS)
    assert [e.row for e in report.errors] == [6, 7]
    snapshot = file_store.snapshot()
    assert sorted((c.dimension, abs(c.preference)) for c in snapshot.comparisons) == [("quality", 2), ("quality", 2)]
    assert [(r.dimension, r.value) for r in snapshot.ratings] == [("quality", 1)]
    assert {v[-1] for v in voices(snapshot)} == {" blue.", sky}, "the chosen one is the better one"


def test_many_rows_take_bounded_groups(file_store, tmp_path, monkeypatch):
    monkeypatch.setattr("trueline.feedback.exporting.writing.GROUP", 3)
    labelled(file_store, 6)
    assert len(written(file_store, "trl-preference", tmp_path / "x.parquet")) == 12
