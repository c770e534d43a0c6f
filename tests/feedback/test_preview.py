"""Before an import: what the first rows look like, and what format it is."""

import json

import pytest

from trueline.errors import InputError
from trueline.feedback.preview import detect, preview
from trueline.records import DIMENSIONS

ROWS = {
    "jsonl": {"prompt": "x", "completion": "y", "ratings": {"quality": 4}},
    "hh_harmless": {"chosen": "\n\nHuman: hi\n\nAssistant: a", "rejected": "\n\nHuman: hi\n\nAssistant: b"},
    "helpdesk": {
        "turns": [{"sender": "customer", "text": "a"}, {"sender": "helpdesk", "text": "b"}],
        "ratings": [{"A": 1}],
    },
    "ultrafeedback": {"prompt": "hi", "chosen": "a", "rejected": "b"},
    "helpsteer": {"prompt": "hi", "response": "a", "helpfulness": 3},
    "argilla": {"fields": {"prompt": "hi", "response": "a"}, "responses": []},
    "label_studio": {"data": {"prompt": "hi", "answer": "a"}, "annotations": []},
}
ARRAYS = {
    "pku_saferlhf": {"prompt": "hi", "response": ["a", "b"]},
    "diasafety": {"context": "hi", "response": "a", "label": "Safe"},
}


def written(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("name", ROWS)
def test_json_lines_are_told_apart(tmp_path, name):
    assert detect(written(tmp_path / "x", *[ROWS[name]] * 3), DIMENSIONS) == name


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_told_apart(tmp_path, name):
    (tmp_path / "x").write_text(json.dumps([ARRAYS[name]]))
    assert detect(tmp_path / "x", DIMENSIONS) == name


def test_csv_and_parquet_are_told(tmp_path):
    (tmp_path / "x").write_text("prompt,completion,quality\na,b,4\n")
    assert detect(tmp_path / "x", DIMENSIONS) == "csv"
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist([ROWS["jsonl"]]), tmp_path / "y")
    assert detect(tmp_path / "y", DIMENSIONS) == "parquet"


@pytest.mark.parametrize("text", ["", "hello\nworld\n", '{"title": "x"}\n', "a,b\n1,2\n"])
def test_what_is_none_of_them_says_so_in_a_line(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(InputError, match=str(tmp_path / "x")) as caught:
        detect(tmp_path / "x", DIMENSIONS)
    assert "\n" not in str(caught.value)


def test_real_files_are_told(shared_data):
    for name, path in (
        ("hh_harmless", "hh_harmless/harmless-base.jsonl"),
        ("pku_saferlhf", "pku_saferlhf/saferlhf_5k.json"),
        ("helpdesk", "helpdesk/helpdesk_zh.jsonl"),
        ("diasafety", "diasafety/val.json"),
    ):
        assert detect(shared_data(path), DIMENSIONS) == name


def test_a_preview_shows_rows_and_errors_and_stops_early(tmp_path):
    pair = {"prompt": "write to bob@example.com", "a": "yes", "b": "no", "preference": -2, "dimension": "quality"}
    path = written(tmp_path / "x", pair, {"prompt": ""}, *[ROWS["jsonl"]] * 50)
    seen = preview(path, "jsonl", DIMENSIONS, rows=3)
    assert (len(seen.items), [e.row for e in seen.errors], seen.more) == (2, [2], True)
    shown = json.loads(json.dumps(seen.as_json()))
    first = shown["rows"][0]
    assert first["messages"][0]["personal"] == [{"kind": "email", "start": 9, "stop": 24}]
    assert [a["text"] for a in first["answers"]] == ["yes", "no"]
    assert (first["comparisons"][0]["a"], first["comparisons"][0]["preference"]) == (0, -2)
    assert shown["errors"] == [{"row": 2, "unit": "line", "why": "has no prompt"}]
    assert not preview(path, "jsonl", DIMENSIONS, rows=52).more
