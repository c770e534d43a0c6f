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
        ({"prompt": "x", "completions": ["y"]}, "has no completion, a or b, but completions; call"),
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


STEER = {"prompt": "hi", "response": "hello", "helpfulness": 3, "correctness": 4, "coherence": 2, "complexity": 1}
ULTRA = {
    "instruction": "hi",
    "completions": [
        {"response": "hello", "annotations": {"helpfulness": {"Rating": "4"}, "honesty": {"Rating": "N/A"}}},
        {"response": "go away", "annotations": {"helpfulness": {"Rating": "1"}, "honesty": [{"Rating": "5"}]}},
    ],
}
ARGILLA = {"fields": {"prompt": "hi", "response-1": "hello", "response-2": "go away"}}
STUDIO = {"data": {"prompt": "hi", "answer1": "hello", "answer2": "go away"}}


def studio(*results, by=1, **more):
    return {**STUDIO, "annotations": [{"completed_by": by, "result": list(results), **more}]}


def result(name, value, to="answer1,answer2"):
    return {"from_name": name, "to_name": to, "type": "x", "value": value}


def test_helpsteer_marks_stand_for_named_dimensions(tmp_path):
    path = jsonl(tmp_path / "x", STEER)
    assert {r.dimension: r.value for r in one(read(path, "helpsteer")).ratings} == {"quality": 4, "consistency": 3}
    own = one(read(path, "helpsteer", ("quality", "helpfulness", "complexity"))).ratings
    assert {r.dimension: r.value for r in own} == {"helpfulness": 4, "complexity": 2}
    assert "the project's are taste" in why(read(path, "helpsteer", ("taste",)))


def test_helpsteer_dialogues_and_preferences(tmp_path):
    text = "hi\n<extra_id_1>Assistant\nhello\n<extra_id_1>User\nmore"
    row = {"prompt": text, "response_1": "a", "response_2": "b", "preference_strength": -3}
    item = one(read(jsonl(tmp_path / "x", row), "helpsteer"))
    turns = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "more"))
    assert item.exchanges[0].prompt == Prompt(turns)
    assert (item.comparisons[0].preference, item.comparisons[0].dimension) == (-3, "quality")


def test_ultrafeedback_is_a_models_judgement(tmp_path):
    item = one(read(jsonl(tmp_path / "x", ULTRA), "ultrafeedback", ("quality", "honesty")))
    texts = {e.completion.id: e.completion.text for e in item.exchanges}
    marks = {(texts[r.completion_id], r.dimension): r.value for r in item.ratings}
    assert marks == {("hello", "quality"): 4, ("hello", "honesty"): None, ("go away", "quality"): 1,
                     ("go away", "honesty"): 5}  # fmt: skip
    assert all(r.annotator.simulated for r in item.ratings)


def test_ultrafeedback_binarised_in_its_forms(tmp_path):
    turns = [{"role": "user", "content": "hi"}]
    rows = [
        {"prompt": "hi", "chosen": [*turns, {"role": "assistant", "content": "a"}],
         "rejected": [*turns, {"role": "assistant", "content": "b"}]},
        {"instruction": "hi", "chosen_response": "a", "rejected_response": "b"},
        {"chosen": [*turns, {"role": "assistant", "content": "a"}],
         "rejected": [*turns, {"role": "assistant", "content": "b"}]},
    ]  # fmt: skip
    for path in (jsonl(tmp_path / "x", *rows), array(tmp_path / "y", *rows)):
        first, *others = read(path, "ultrafeedback")
        assert first.exchanges[0].completion.text == "a" and first.comparisons[0].preference == -2
        assert all((o.exchanges, o.comparisons) == (first.exchanges, first.comparisons) for o in others)


def test_argilla_of_both_versions(tmp_path):
    old = ARGILLA | {
        "responses": [
            {"user_id": "u1", "status": "submitted", "values": {
                "preference": {"value": "response-2"}, "quality_response1": {"value": 2}, "why": {"value": "rude"}}},
            {"user_id": "u2", "status": "draft", "values": {"preference": {"value": "response-1"}}},
        ]
    }  # fmt: skip
    ranks = [{"value": "response-1", "rank": 2}, {"value": "response-2", "rank": 1}]
    new = ARGILLA | {
        "responses": {
            "preference": [{"value": ranks, "user_id": "u1"}],
            "quality_response1": [{"value": 2, "user_id": "u1"}],
        }
    }
    a, b = read(array(tmp_path / "x", old, new), "argilla")
    assert (a.exchanges, set(a.ratings), a.comparisons) == (b.exchanges, set(b.ratings), b.comparisons)
    [comparison], [rating] = a.comparisons, a.ratings
    assert (comparison.preference, comparison.dimension) == (2, "overall")
    assert (rating.value, rating.completion_id, rating.annotator) == (2, comparison.a_id, Annotator("argilla u1"))


def test_argilla_single_answers_are_rated(tmp_path):
    row = {"fields": {"Instruction": "hi", "Response": "hello"}, "responses": {"safety": [{"value": 5}]}}
    [rating] = one(read(jsonl(tmp_path / "x", row), "argilla")).ratings
    assert (rating.dimension, rating.value) == ("safety", 5)


def test_label_studio_results(tmp_path):
    row = studio(
        result("comparison", {"selected": "right"}),
        result("quality", {"rating": 4}, "answer2"),
        result("safety_answer1", {"choices": ["2"]}, "dialogue"),
        result("topic", {"choices": ["travel"]}, "dialogue"),
        by={"email": "ann@example.com"},
    )
    item = one(read(array(tmp_path / "x", row), "label_studio"))
    a, b = (e.completion.id for e in item.exchanges)
    assert [(r.completion_id, r.dimension, r.value) for r in item.ratings] == [(b, "quality", 4), (a, "safety", 2)]
    [comparison] = item.comparisons
    assert (comparison.preference, comparison.annotator) == (2, Annotator("label studio ann@example.com"))
    tie = one(read(array(tmp_path / "y", studio(result("quality", {"choices": ["tie"]}))), "label_studio"))
    assert [(c.preference, c.dimension) for c in tie.comparisons] == [(0, "quality")]
    left_out = studio(result("comparison", {"selected": "right"}), was_cancelled=True)
    assert one(read(array(tmp_path / "z", left_out), "label_studio")).comparisons == ()


@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("helpsteer", STEER | {"helpfulness": 5}, "helpfulness is 5, must be 0 to 4"),
        ("helpsteer", STEER | {"response": None}, "has no response"),
        ("ultrafeedback", {"instruction": "hi"}, "has no completions"),
        ("ultrafeedback", ULTRA | {"completions": [{"response": "x"}]}, "the project's are"),
        ("ultrafeedback", {"prompt": "hi", "chosen": "a", "rejected": "a"}, "the same text"),
        ("ultrafeedback", {"prompt": "hi", "chosen": [], "rejected": "a"}, "assistant's turn"),
        ("argilla", {"responses": []}, "has no fields"),
        ("argilla", {"fields": {"headline": "x"}}, "has no prompt"),
        ("argilla", {"fields": {"prompt": "x"}}, "has no answer"),
        ("argilla", ARGILLA | {"responses": {"quality_response1": [{"value": 7}]}}, "is 7, must be 1 to 5"),
        ("argilla", ARGILLA | {"responses": {"better": [{"value": [{"value": "response-1"}]}]}}, "rank"),
        ("label_studio", STUDIO, "has no annotations"),
        ("label_studio", studio(result("quality", {"rating": 9}, "answer1")), "quality is 9"),
        ("label_studio", studio(result("quality", {"rating": 4})), "which of the two answers"),
        ("label_studio", studio(result("quality", {"rating": 4}, "both")), "which of the two answers"),
        ("label_studio", studio(result("better", {"selected": "middle"})), "names no answer"),
    ],
)
def test_rows_of_other_tools_that_cannot_be_used(tmp_path, name, row, says):
    found = read(jsonl(tmp_path / "x", OWN, row), name)
    assert says in why(found[1:], row=2)


def test_parquet_is_our_own_lines_in_columns(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [OWN | {"ratings": {"quality": 4}}, PAIR, {"completion": "x"}, OWN]
    pq.write_table(
        pa.Table.from_pylist([{k: r.get(k) for k in {**OWN, **PAIR, "ratings": 0}} for r in rows]), tmp_path / "p"
    )
    found, expected = read(tmp_path / "p", "parquet"), read(jsonl(tmp_path / "j", *rows), "jsonl")
    for x, y in zip(found, expected, strict=True):
        if isinstance(x, Item):
            assert (x.exchanges, x.ratings, x.comparisons, x.row) == (y.exchanges, y.ratings, y.comparisons, y.row)
        else:
            assert str(x) == f"{tmp_path / 'p'}, row 3: {y.why}"
    assert found[-1].place == (tmp_path / "p").stat().st_size
    with pytest.raises(InputError, match="is not a Parquet file"):
        read(tmp_path / "j", "parquet")
    (tmp_path / "cut").write_bytes((tmp_path / "p").read_bytes()[:200])
    with pytest.raises(InputError, match="not a usable Parquet file"):
        read(tmp_path / "cut", "parquet")


def test_published_sets_are_read_from_parquet_too(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist([STEER]), tmp_path / "x")
    assert len(one(read(tmp_path / "x", "helpsteer")).ratings) == 2


@pytest.mark.parametrize("size", [1, 100, 300_000])
def test_an_array_is_read_as_it_comes(tmp_path, size):
    """Values that lie across the window's ends, white space between them, half characters at the end of a read."""
    rows = [{"prompt": f'你好 "{i}" [{{\\ ' + "é" * size, "response": ["a", "b"]} for i in range(8)]
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf \n" + json.dumps(rows, ensure_ascii=False, indent=3).encode())
    found = read(tmp_path / "x", "pku_saferlhf")
    assert [i.exchanges[0].prompt.messages[0].content for i in found] == [r["prompt"] for r in rows]
    assert [i.place for i in found] == sorted(i.place for i in found)


@pytest.mark.parametrize("data", ["[3.5,4", "[1 2]", "[1,]", "[1]x", '[{"prompt": "x"}, {"prompt": "'])
def test_an_array_that_is_cut_or_broken_says_where(tmp_path, data):
    (tmp_path / "x").write_text(data)
    with pytest.raises(InputError, match=r"row [12]: not valid JSON"):
        read(tmp_path / "x", "pku_saferlhf")


def test_what_an_export_adds_is_read(tmp_path):
    more = {"completion_source": "policy:base", "completion_finish": "length", "simulated": True, "annotator": "robot"}
    row = OWN | more | {"completion": "", "ratings": {"quality": 1}, "prompt_meta": {"split": "test"}}
    item = one(read(jsonl(tmp_path / "x", row), "jsonl"))
    answer, rating = item.exchanges[0].completion, item.ratings[0]
    assert (answer.text, answer.source, answer.finish) == ("", "policy:base", "length")
    assert rating.annotator == Annotator("robot", simulated=True) and item.exchanges[0].prompt.meta == {"split": "test"}
    assert one(read(jsonl(tmp_path / "x", PAIR | {"dimension": "overall"}), "jsonl")).comparisons
    for wrong in ({"simulated": 1}, {"prompt_meta": []}, {"completion_finish": "x"}, {"completion_source": 3}):
        assert next(iter(wrong)) in why(read(jsonl(tmp_path / "x", OWN | wrong), "jsonl"))
