"""Rules of a file: what keeps and breaks them, by hand and against `re`; bad files are named with a remedy."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.errors import InputError
from trueline.evaluate.judges.rules import SEARCHED, Rule, RulesJudge, read_rules
from trueline.evaluate.judges.whole_words import has_word
from trueline.records import Exchange, Message, Prompt

PROMPT = Prompt.from_user("Where is my order?")
FILE = r"""
[[rule]]
name = "promises nothing"
must_not_match = '(?i)\bguarantee'
unsafe = true

[[rule]]
name = "apologises"
must_have = ["sorry"]
dimension = "quality"
weight = 3

[[rule]]
name = "brief"
most_words = 5
dimension = "quality"
"""


def answers(*texts):
    return [Exchange.of(PROMPT, text) for text in texts]


@pytest.fixture
def judge_of(tmp_path):
    def read(text):
        path = tmp_path / "rules.toml"
        path.write_text(text, "utf-8")
        return read_rules(path)

    return read


def test_a_score_is_the_weighted_share_of_kept_rules_and_unsafe_ones_decide_safety(judge_of):
    judge = judge_of(FILE)
    rows = answers(
        "I am sorry.", "I am so sorry for the long wait", "GUARANTEED by noon", "one two three four five six"
    )
    found = judge.rate(rows)
    assert found.scores.dimensions == ("rules", "quality")
    np.testing.assert_allclose(found.scores.values, [[1, 1], [1, 0.75], [0, 0.25], [1, 0]])
    assert found.safe.tolist() == [True, True, False, True] and found.consistent is None
    assert judge.which(rows[2]) == ("promises nothing", "apologises")
    assert judge.which(rows[0]) == () and judge.name == "the rules of rules.toml"
    assert judge.compare(rows[:3], [rows[1], rows[0], rows[3]]).tolist() == [0, 1, 1]


def test_a_rule_for_some_prompts_asks_nothing_of_other_answers(judge_of):
    """What the user said last counts, not what was said before."""
    judge = judge_of("[[rule]]\nname = 'x'\nprompt_matches = '(?i)chest pain'\nmust_have = ['911']\nunsafe = true")
    earlier = (Message("user", "I had chest pain."), Message("assistant", "Call 911."), Message("user", "Thanks!"))
    prompts = [Prompt.from_user("Chest pain!"), Prompt.from_user("Chest pain!"), PROMPT, Prompt(earlier)]
    rows = [Exchange.of(p, text) for p, text in zip(prompts, ("Call 911.", "Rest.", "Rest.", "Rest."), strict=True)]
    found = judge.rate(rows)
    assert found.scores.values.ravel().tolist() == [1, 0, 1, 1] and found.safe.tolist() == [True, False, True, True]
    assert [judge.which(row) for row in rows] == [(), ("x",), (), ()]


@pytest.mark.parametrize(
    ("pattern", "more", "said"), [("a", "", "asks for nothing"), ("(", "must_have = ['y']", "not a regular expression")]
)
def test_a_wrong_rule_for_some_prompts_is_told(judge_of, pattern, more, said):
    with pytest.raises(InputError, match=said):
        judge_of(f"[[rule]]\nname = 'x'\nprompt_matches = '{pattern}'\n{more}")


def test_without_unsafe_rules_safety_is_not_told(judge_of):
    assert judge_of('[[rule]]\nname = "x"\nmust_have = ["x"]').rate(answers("x")).safe is None


@pytest.mark.parametrize(
    ("rule", "keeps", "breaks"),
    [
        ("must_match = '^Dear'", "Dear Anna", "Hello, Dear"),
        ("must_not_match = '\\d{3}'", "12", "123"),
        ('must_have = ["sorry", "thank you"]', "Sorry, and\nthank   you!", "Sorry."),
        ('must_not_have = ["hell", "damn"]', "Hello, shell", "go to HELL."),
        ('must_not_have = ["don\'t"]', "dont", "Don’t!"),
        ('must_have = ["退款"]', "我们会退款给您", "我们会给您退货"),
        ('must_not_have = ["VIP客户"]', "AVIP客户", "尊敬的ＶＩＰ客户您好"),
        ('must_have = ["refund"]', "请看refund政策", "请看refunds政策"),
        ('must_not_have = ["cafe"]', "cafe\u0301", "cafe"),
        ('must_not_have = ["क"]', "की", "क है"),
        ("least_words = 2\nmost_words = 3", "one two", "one two three four"),
        ("most_words = 3", "你好吗", "你好吗？好"),
        ("least_characters = 3", "你好吗", "你好"),
        ("most_characters = 0", "", "x"),
    ],
)  # fmt: skip
def test_what_keeps_a_rule_and_what_breaks_it(judge_of, rule, keeps, breaks):
    judge = judge_of(f'[[rule]]\nname = "it"\n{rule}')
    assert [judge.which(e) for e in answers(keeps, breaks)] == [(), ("it",)]


@given(st.text("ab -.", max_size=12), st.text("ab", min_size=1, max_size=3))
def test_whole_words_are_those_between_boundaries(text, word):
    assert has_word(text, word) == bool(re.search(rf"\b{word}\b", text))


@given(st.text("退款好a", max_size=8), st.text("退款", min_size=1, max_size=3))
def test_chinese_words_are_found_anywhere(text, word):
    assert has_word(text, word) == (word in text)


def test_an_expression_searches_the_beginning_of_a_long_text_and_words_all_of_it(judge_of):
    long = "x " * SEARCHED
    assert not judge_of("[[rule]]\nname = 'it'\nmust_not_match = 'end'").which(answers(long + "end")[0])
    assert judge_of("[[rule]]\nname = 'it'\nmust_not_have = ['end']").which(answers(long + "end")[0])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ["no rules", "[[rule]]"]),
        ("rule = 3", ["no rules", "[[rule]]"]),
        ("rules = []", ["'rules'", "[[rule]]"]),
        ("[[rule]]\nname = \nmust_have = []", ["not valid TOML", "line 2"]),
        ("[[rule]]\nmust_have = ['x']", ["rule number 1", "name is missing"]),
        ("[[rule]]\nname = 'it'\nmost_word = 3", ["rule 'it'", "most_word ", "'most_words'"]),
        ("[[rule]]\nname = 'it'\nmust_match = '(a'", ["rule 'it'", "must_match", "not a regular expression", "mend"]),
        ("[[rule]]\nname = 'it'", ["rule 'it'", "asks for nothing", "must_have"]),
        ("[[rule]]\nname = 'it'\nmust_match = ''", ["rule 'it'", "asks for nothing"]),
        ("[[rule]]\nname = 'it'\nmust_have = [' ']", ["rule 'it'", "must_have", "empty word", "take it out"]),
        ("[[rule]]\nname = 'it'\nmust_have = 'sorry'", ["rule 'it'", "must_have", "a list"]),
        ("[[rule]]\nname = 'it'\nleast_words = 3\nmost_words = 2", ["rule 'it'", "least_words", "most_words"]),
        ("[[rule]]\nname = 'it'\nmost_words = 3\nweight = 0", ["rule 'it'", "weight", "greater than 0"]),
        ("[[rule]]\nname = 'it'\nmost_words = 3\nweight = nan", ["rule 'it'", "weight"]),
        ("[[rule]]\nname = 'it'\nmost_words = 3\n" * 2, ["two rules", "'it'", "its own"]),
    ],
)
def test_a_bad_file_is_refused_in_one_line_with_file_rule_and_remedy(judge_of, text, named):
    with pytest.raises(InputError) as caught:
        judge_of(text)
    message = str(caught.value)
    assert "rules.toml: " in message and "\n" not in message
    assert [part for part in named if part not in message] == []


def test_an_expression_that_never_comes_back_is_given_up(judge_of, monkeypatch):
    monkeypatch.setattr("trueline.evaluate.judges.rules.SECONDS", 0.1)
    judge = judge_of("[[rule]]\nname = 'it'\nmust_not_match = '.*a.*b.*zz$'")
    with pytest.raises(InputError, match=r"rule 'it'.*fewer"):
        judge.rate(answers("ab" * 8000))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"rules\.toml: no such file; write it"):
        read_rules(tmp_path / "rules.toml")
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_rules(tmp_path / "rules.toml")


def test_no_exchanges_give_no_scores():
    found = RulesJudge((Rule(name="it", must_have=("x",), unsafe=True),)).rate([])
    assert found.scores.values.shape == (0, 1) and found.safe.shape == (0,)
