"""Ids and splits: the same text is the same thing everywhere, and a dialogue never stands on two sides."""

import hashlib
from collections import Counter
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.records import Annotator, Completion, Exchange, Message, Prompt, content_id, in_split, split_of

parts = st.lists(st.text(st.characters(codec=None), max_size=8), max_size=4)
names = st.text("ab", max_size=4)


@given(parts, parts)
def test_different_parts_have_different_ids(a, b):
    """Also where the joined texts are the same, such as ("ab", "c") and ("a", "bc"), or hold lone surrogates."""
    assert (content_id(*a) == content_id(*b)) == (a == b)


@given(names, names, names, names)
def test_parts_do_not_run_together(a, b, c, d):
    assert (content_id(a, b) == content_id(c, d)) == ((a, b) == (c, d))


def test_an_id_is_the_documented_hash():
    """Length-prefixed sha256: what somebody else would compute from the description alone."""
    raw = b"".join(len(x).to_bytes(8, "big") + x for x in ("é".encode(), b"b"))
    assert content_id("é", "b") == hashlib.sha256(raw).hexdigest()[:16]


def test_an_id_tells_the_text_and_nothing_else():
    prompt = Prompt.from_user("hello", {"order": "1234"})
    assert prompt.id == Prompt.from_user("hello").id != Prompt((Message("system", "hello"),)).id
    assert prompt == Prompt.from_user("hello")
    a = Completion(prompt.id, "hi", source="policy:base", finish="stop")
    b = Completion(prompt.id, "hi", source="import:own", finish="length")
    assert a.id == b.id
    assert a.id != Completion(Prompt.from_user("other").id, "hi").id
    assert Exchange.of(prompt, "hi").completion.id == a.id


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Message("user", "a").content = "b"


def test_split_shares_are_80_10_10():
    counts = Counter(split_of(Prompt.from_user(f"question {i}")) for i in range(10_000))
    assert abs(counts["train"] - 8000) < 160
    assert abs(counts["validation"] - 1000) < 120
    assert abs(counts["test"] - 1000) < 120


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_dialogue_keeps_its_split_as_it_grows(system, first, answer, follow_up):
    short = Prompt.from_user(first)
    roles = ("system", "user", "assistant", "user")
    turns = tuple(Message(role, text) for role, text in zip(roles, (system, first, answer, follow_up), strict=True))
    assert split_of(short) == split_of(Prompt(turns[1:])) == split_of(Prompt(turns))


def test_case_and_spaces_do_not_move_a_prompt():
    for i in range(50):
        shouted = Prompt.from_user(f"Where is\n ORDER {i}? ")
        assert split_of(shouted) == split_of(Prompt.from_user(f"where is order {i}?"))


def test_splits_divide_the_prompts():
    prompts = [Prompt.from_user(f"question {i}") for i in range(200)]
    found = [in_split(prompts, name) for name in ("train", "validation", "test")]
    assert all(found)
    assert sorted(p.id for part in found for p in part) == sorted(p.id for p in prompts)
    assert found[0] == [p for p in prompts if p in found[0]]


def test_a_prompt_without_a_user_turn_has_a_split():
    assert split_of(Prompt((Message("system", "write"),))) in ("train", "validation", "test")


def test_simulated_annotators_say_so():
    assert Annotator("sim-01", simulated=True).label == "sim-01 (simulated)"
    assert Annotator("Anna").label == "Anna"
