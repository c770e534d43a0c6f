"""Every reader: what a row becomes, and what is said of a row that cannot be used."""

import json

import pytest

from trueline.errors import InputError
from trueline.feedback.formats import FORMATS, Item, RowError
from trueline.records import DIMENSIONS, Annotator, Message, Prompt, Rating


def read(path, name, dimensions=DIMENSIONS):
    return list(FORMATS[name](path, dimensions))


def jsonl(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    return path


def array(path, *rows):
    path.write_text(json.dumps(rows), "utf-8")
    return path


def one(found):
    [item] = found
    assert isinstance(item, Item), item
    return item


def why(found, row=1):
    """The complaint about the only row."""
    [error] = found
    assert isinstance(error, RowError) and error.row == row, error
    assert "\n" not in str(error)
    return error.why


OWN = {"prompt": "Where is it?", "completion": "On its way."}
PAIR = {"prompt": "Where is it?", "a": "Soon.", "b": "Go away.", "preference": -3, "dimension": "safety"}
HH = {"chosen": "\n\nHuman: hi\n\nAssistant: hello", "rejected": "\n\nHuman: hi\n\nAssistant: go away"}
PKU = {"prompt": "hi", "response": ["hello", "go away"]}
DESK = {
    "turns": [{"sender": "customer", "text": "broken"}, {"sender": "helpdesk", "text": "sorry"}],
    "ratings": [{"A": -2, "S": 0, "E": 0}, {"A": 2, "S": 0, "E": 0}],
}
DIA = {"context": "hi", "response": "hello", "category": "Offending User", "label": "Unsafe"}


def test_hh_the_chosen_answer_wins(tmp_path):
    row = {
        "chosen": "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: more\nlines\n\nAssistant: fine",
        "rejected": "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: more\nlines\n\nAssistant: Human: no",
    }
    item = one(read(jsonl(tmp_path / "x", row), "hh_harmless"))
    [comparison], (a, b) = item.comparisons, item.exchanges
    turns = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "more\nlines"))
    assert a.prompt == b.prompt == Prompt(turns)
    assert (a.completion.text, b.completion.text) == ("fine", "Human: no")
    assert (comparison.a_id, comparison.b_id) == (a.completion.id, b.completion.id)
    assert comparison.preference < 0 and comparison.dimension == "safety"
    assert not comparison.annotator.simulated


def test_pku_the_first_answer_is_the_safer(tmp_path):
    item = one(read(array(tmp_path / "x", PKU), "pku_saferlhf"))
    [comparison], (a, b) = item.comparisons, item.exchanges
    assert (a.completion.text, b.completion.text) == ("hello", "go away")
    assert (comparison.a_id, comparison.b_id) == (a.completion.id, b.completion.id) and comparison.preference < 0


def test_helpdesk_every_person_rates_the_last_helpdesk_turn(tmp_path):
    turns = [("helpdesk", "advert"), ("customer", "broken"), ("customer", "again"), ("helpdesk", "sorry"),
             ("customer", "and?"), ("customer", " "), ("helpdesk", "we"), ("helpdesk", "mend it"), ("helpdesk", ""),
             ("customer", "thanks")]  # fmt: skip
    row = {"turns": [{"sender": s, "text": t} for s, t in turns], "ratings": [{"A": a} for a in (-2, 0, 2)]}
    item = one(read(jsonl(tmp_path / "x", row), "helpdesk"))
    [exchange] = item.exchanges
    expected = (Message("user", "broken\nagain"), Message("assistant", "sorry"), Message("user", "and?"))
    assert exchange.prompt == Prompt(expected) and exchange.completion.text == "we\nmend it"
    assert [r.value for r in item.ratings] == [1, 3, 5]
    assert len({r.annotator.name for r in item.ratings}) == 3
    assert {r.dimension for r in item.ratings} == {"quality"}


def test_diasafety_labels_become_marks(tmp_path):
    safe, unsafe = read(array(tmp_path / "x", DIA | {"label": "Safe"}, DIA), "diasafety")
    assert [r.value for r in safe.ratings] == [5] and [r.value for r in unsafe.ratings] == [1]
    assert safe.exchanges[0].prompt.messages == (Message("user", "hi"),)


def test_own_rows(tmp_path):
    rated = OWN | {"ratings": {"quality": 4, "safety": None}, "annotator": " Anna "}
    dialogue = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "你好"}]}
    items = read(jsonl(tmp_path / "x", rated, PAIR, OWN, dialogue), "jsonl")
    assert all(isinstance(i, Item) for i in items) and [i.row for i in items] == [1, 2, 3, 4]
    answer = items[0].exchanges[0].completion
    assert items[0].ratings == tuple(Rating(answer.id, d, v, Annotator("Anna")) for d, v in rated["ratings"].items())
    [comparison] = items[1].comparisons
    texts = {e.completion.id: e.completion.text for e in items[1].exchanges}
    assert (texts[comparison.a_id], texts[comparison.b_id], comparison.preference) == ("Soon.", "Go away.", -3)
    assert items[2].exchanges and not items[2].ratings
    assert items[3].prompts == (Prompt((Message("system", "be kind"), Message("user", "你好"))),)


def test_a_null_is_the_same_as_nothing(tmp_path):
    """Tables written as JSON lines have every column in every row."""
    names = "messages prompt completion ratings a b preference dimension annotator both_bad"
    empty = dict.fromkeys(names.split())
    rows = [OWN | {"ratings": {"quality": 4}}, PAIR, OWN]
    full = jsonl(tmp_path / "x", *(empty | r for r in rows))
    assert read(full, "jsonl") == read(jsonl(tmp_path / "y", *rows), "jsonl")


CSV = "prompt,completion,quality,safety,annotator\n"


def csv_file(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_and_jsonl_say_the_same(tmp_path):
    rows = [
        OWN | {"ratings": {"quality": 4}, "annotator": "Anna"},
        {"prompt": '你好, "朋友"\n第二行', "completion": "好", "ratings": {"quality": 1, "safety": 5}}
        | {"annotator": "张"},
    ]
    text = CSV + 'Where is it?,On its way.,4,,Anna\n\n"你好, ""朋友""\n第二行",好, 1 ,5,张\n'
    for name, encoding, ends in (("a", "utf-8", "\n"), ("b", "utf-8-sig", "\n"), ("c", "utf-8", "\r\n")):
        path = csv_file(tmp_path / name, text.replace("\n第", "\0").replace("\n", ends).replace("\0", "\n第"), encoding)
        found = read(path, "csv")
        expected = read(jsonl(tmp_path / "j", *rows), "jsonl")
        assert [(i.exchanges, i.ratings) for i in found] == [(i.exchanges, i.ratings) for i in expected]
    text = "prompt,a,b,preference,dimension,both_bad\nWhere is it?,Soon.,Go away.,-3,safety,TRUE\n"
    pair = one(read(csv_file(tmp_path / "p", text), "csv"))
    assert pair.comparisons == one(read(jsonl(tmp_path / "j", PAIR | {"both_bad": True}), "jsonl")).comparisons


def test_jsonl_with_a_mark_of_byte_order_blank_lines_and_more_fields(tmp_path):
    text = "\ufeff" + json.dumps(OWN | {"id": 7, "source": "x"}) + "\r\n\r\n   \n" + json.dumps(PAIR) + "\n\n"
    (tmp_path / "x").write_bytes(text.encode())
    assert [i.row for i in read(tmp_path / "x", "jsonl")] == [1, 4]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{broken", "is not valid JSON"),
        ('{"prompt": ' + "9" * 5000 + "}", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("3", "is not an object"),
        ("[]", "is not an object"),
        ({"completion": "x"}, "has no prompt"),
        ({"prompt": " ", "completion": "x"}, "prompt must be text"),
        ({"prompt": 3, "completion": "x"}, "prompt must be text"),
        ({"prompt": "x", "completion": ""}, "completion"),
        (OWN | {"prompt": "\ud800"}, "half a character"),
        (OWN | {"ratings": {"quality": 6}}, "quality is 6, must be 1 to 5"),
        (OWN | {"ratings": {"quality": 0}}, "quality is 0"),
        (OWN | {"ratings": {"quality": True}}, "quality is True"),
        (OWN | {"ratings": {"quality": 2.5}}, "quality is 2.5"),
        (OWN | {"ratings": {"quality": "4"}}, "quality is '4'"),
        (OWN | {"ratings": {"taste": 4}}, "'taste' is not one of the project's: quality, safety, consistency"),
        (OWN | {"ratings": [4]}, "ratings must name dimensions"),
        (OWN | {"quality": 4}, "ratings"),
        (OWN | {"annotator": 3}, "annotator must be a name"),
        (OWN | {"annotator": " "}, "annotator must be a name"),
        ({"prompt": "x", "ratings": {"quality": 3}}, "has ratings but no completion"),
        ({"prompt": "x", "preference": 3, "dimension": "safety"}, "has a preference but no a and b"),
        (PAIR | {"ratings": {"quality": 3}}, "ratings"),
        (PAIR | {"b": PAIR["a"]}, "the same text"),
        (PAIR | {"preference": 4}, "preference is 4, must be -3"),
        (PAIR | {"preference": None}, "preference is None"),
        (PAIR | {"preference": True}, "preference is True"),
        (PAIR | {"dimension": "taste"}, "'taste' is not one of"),
        (PAIR | {"dimension": None}, "has no dimension"),
        (PAIR | {"both_bad": 1}, "both_bad must be true or false"),
        (PAIR | {"b": None}, "has no b"),
        ({"messages": []}, "messages must be a list of turns"),
        ({"messages": [{"role": "user"}]}, "a message needs a role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "a message needs a role"),
        ({"messages": [{"role": "user", "content": " "}]}, "blank"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must end with a user's turn"),
    ],
)
def test_own_rows_that_cannot_be_used(tmp_path, row, says):
    row = json.dumps(row) if isinstance(row, dict) else row
    assert says in why(read(jsonl(tmp_path / "x", row), "jsonl"))


@pytest.mark.parametrize(
    ("name", "write", "row", "says"),
    [
        ("hh_harmless", jsonl, HH | {"chosen": "hello"}, "chosen is not a dialogue"),
        ("hh_harmless", jsonl, HH | {"rejected": "\n\nHuman: hi"}, "rejected is not a dialogue"),
        ("hh_harmless", jsonl, HH | {"rejected": HH["chosen"]}, "the same text"),
        ("hh_harmless", jsonl, HH | {"rejected": "\n\nHuman: ho\n\nAssistant: x"}, "different dialogues"),
        ("hh_harmless", jsonl, HH | {"chosen": "\n\nHuman: hi\n\nAssistant: "}, "empty answer"),
        ("hh_harmless", jsonl, HH | {"chosen": "\n\nHuman: \n\nAssistant: x"}, "no prompt"),
        ("hh_harmless", jsonl, {"chosen": HH["chosen"]}, "has no rejected"),
        ("pku_saferlhf", array, PKU | {"response": ["a"]}, "two answers"),
        ("pku_saferlhf", array, PKU | {"response": ["a", 3]}, "two answers"),
        ("pku_saferlhf", array, PKU | {"response": ["a", "a"]}, "the same text"),
        ("pku_saferlhf", array, PKU | {"prompt": None}, "has no prompt"),
        ("pku_saferlhf", array, [], "is not an object"),
        ("helpdesk", jsonl, DESK | {"turns": []}, "has no turns"),
        ("helpdesk", jsonl, DESK | {"turns": DESK["turns"][:1]}, "no helpdesk turn that answers"),
        ("helpdesk", jsonl, DESK | {"turns": DESK["turns"][1:]}, "no helpdesk turn that answers"),
        ("helpdesk", jsonl, DESK | {"turns": [{"sender": ["customer"], "text": "x"}]}, "a turn needs a sender"),
        ("helpdesk", jsonl, DESK | {"turns": [DESK["turns"][0], {"sender": "helpdesk", "text": " "}]}, "no helpdesk"),
        ("helpdesk", jsonl, DESK | {"ratings": []}, "has no ratings"),
        ("helpdesk", jsonl, DESK | {"ratings": [{"A": 3}]}, "rating A is 3, must be -2 to 2"),
        ("helpdesk", jsonl, DESK | {"ratings": [{"A": True}]}, "rating A is True"),
        ("helpdesk", jsonl, DESK | {"ratings": [{"S": 1}]}, "rating A is None"),
        ("diasafety", array, DIA | {"label": "safe"}, "label is 'safe', must be Safe or Unsafe"),
        ("diasafety", array, DIA | {"label": ["Safe"]}, "label is ['Safe']"),
        ("diasafety", array, DIA | {"context": ""}, "has no context"),
        ("diasafety", array, DIA | {"response": "\ud83d"}, "half a character"),
    ],
)
def test_rows_of_other_formats_that_cannot_be_used(tmp_path, name, write, row, says):
    row = json.dumps(row) if write is jsonl else row
    assert says in why(read(write(tmp_path / "x", row), name))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x,y,six,,Anna", "quality is 'six', must be a whole number"),
        ("x,y,6,,Anna", "quality is 6, must be 1 to 5"),
        (",y,4,,Anna", "has no prompt"),
        ("x,,4,,Anna", "has ratings but no completion"),
        ("x,y,4,,Anna,more", "more cells"),
    ],
)
def test_csv_rows_that_cannot_be_used(tmp_path, line, says):
    found = read(csv_file(tmp_path / "x", CSV + "\nfine,row,5,5,Anna\n" + line + "\n"), "csv")
    assert isinstance(found[0], Item) and says in why(found[1:], row=4)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((CSV + "ü,y,4,,Anna\n").encode("utf-16"), "is not UTF-8"),
        ((CSV + "你好,y,4,,Anna\n").encode("gbk"), "is not UTF-8"),
        (b"prompt;completion;quality\nx;y;4\n", "line 1"),
        (b"prompt,completion,qualty\nx,y,4\n", "column 'qualty' is not known"),
        (b"prompt,completion,quality,quality\nx,y,4,5\n", "'quality' twice"),
        (b'prompt,completion\nx,"' + b"y" * 200_000 + b'"\n', "line 2"),
    ],
)
def test_csv_files_that_cannot_be_used(tmp_path, data, says):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=str(tmp_path)) as caught:
        read(tmp_path / "x", "csv")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_line_of_another_encoding_is_named(tmp_path):
    lines = [json.dumps(OWN).encode(), '{"prompt": "你好"}'.encode("gbk"), json.dumps(PAIR).encode()]
    (tmp_path / "x").write_bytes(b"\n".join(lines))
    found = read(tmp_path / "x", "jsonl")
    assert isinstance(found[0], Item) and isinstance(found[2], Item)
    assert "UTF-8" in why(found[1:2], row=2)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \n\n"])
def test_an_empty_file_says_so(tmp_path, name, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / "x", name)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "missing", name)


@pytest.mark.parametrize("data", [b"{}", b"[1", b"3", b"[" * 100_000, '["ü"]'.encode("latin-1"), b"9" * 5000])
def test_a_file_that_is_no_array(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "x", "pku_saferlhf")
    assert "\n" not in str(caught.value)
