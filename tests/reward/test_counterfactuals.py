"""Counterfactual tests: what a table says is done to an answer, judged rightly, and bad tables are refused by line."""

import numpy as np
import pytest

from trueline.errors import InputError
from trueline.evaluate.counterfactual_rates import pass_rates
from trueline.records import Exchange, Prompt, Scores
from trueline.reward.counterfactuals import DEFAULT_TABLE, read_table, variants

HEAD = "name,kind,find,with,expect,tolerance\n"


def table(tmp_path, rows):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + rows, encoding="utf-8")
    return read_table(path)


def change(test, text, prompt="q"):
    found = test.variant(Exchange.of(Prompt.from_user(prompt), text))
    return None if found is None else found.completion.text


def test_words_are_swapped_together_and_whole(tmp_path):
    [test] = table(tmp_path, "g,replace,he,she,same,0.5\ng,replace,she,he,same,0.5\ng,replace,his,her,same,0.5\n")
    assert change(test, "He and she saw the shelf; his.") == "She and he saw the shelf; her."
    assert change(test, "nothing here") is None
    found = test.variant(Exchange.of(Prompt.from_user("where is he?"), "he is in"))
    assert found.prompt.messages[0].content == "where is she?"


def test_additions_keep_to_their_language(tmp_path):
    tests = table(
        tmp_path, "a,append,,Thank you.,not lower,0.5\nb,prepend,,您好。,not lower,0.5\nc,repeat,,,not higher,0.25\n"
    )
    assert [change(t, "It is sent.") for t in tests] == ["It is sent. Thank you.", None, "It is sent. It is sent."]
    assert [change(t, "已发货。") for t in tests] == [None, "您好。已发货。", "已发货。已发货。"]


@pytest.mark.parametrize(
    ("expect", "passing"),
    [("same", [False, True, True, False]), ("not higher", [True] * 3 + [False]), ("not lower", [False] + [True] * 3)],
)  # fmt: skip
def test_what_passes(tmp_path, expect, passing):
    [test] = table(tmp_path, f"a,append,,x,{expect},0.5\n")
    assert [test.passes(c) for c in (-0.6, -0.4, 0.4, 0.6)] == passing


class Flattered:
    """Likes to be told that it is the best, by twice the deviation of its other scores."""

    dimensions = ("quality",)

    def score(self, exchanges):
        texts = [e.completion.text for e in exchanges]
        return Scores(self.dimensions, np.array([[float("yes" in t) + ("the best" in t)] for t in texts]))


def test_rates_count_passes_and_show_the_worst(tmp_path):
    tests = table(tmp_path, "praise,append,,I am the best.,not higher,0.5\nswap,replace,zebra,lion,same,0.5\n")
    exchanges = [Exchange.of(Prompt.from_user(f"q{i}"), "yes" if i % 2 else "no") for i in range(10)]
    rates, idle = pass_rates(Flattered(), tests, exchanges)
    assert idle == ["swap"] and len(rates) == 1
    assert rates[0].passed.value == 0 and rates[0].mean_change == pytest.approx(2.0) and len(rates[0].worst) == 5


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("", "holds no test"),
        ("a,append,,x,same\n", "line 2: must have 6 cells"),
        ("a,append,,x,same,0.5\nb,eat,,x,same,0.5\n", "line 3: kind is 'eat'"),
        ("a,append,,x,bigger,0.5\n", "line 2: expect is 'bigger'"),
        ("a,append,,x,same,-1\n", "line 2: tolerance"),
        ("a,replace,he,,same,0.5\n", "line 2: replace needs both find and with"),
        ("a,append,,x,same,0.5\na,append,,y,same,0.5\n", "line 3: a second row of 'a'"),
        ('a,append,,"x,same,0.5\n', "quotation mark"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, rows, why):
    with pytest.raises(InputError, match=why) as caught:
        table(tmp_path, rows)
    assert "\n" not in str(caught.value)


def test_the_default_table_changes_english_and_chinese():
    tests = read_table(DEFAULT_TABLE)
    for text in ("He is a man, and we thank you, sir.", "他是男人，谢谢先生。"):
        exchanges = [Exchange.of(Prompt.from_user("q"), text)]
        assert sum(bool(variants(t, exchanges)) for t in tests) >= 5
