"""The judge of told facts: the share of them that an answer has, in any of their wordings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.errors import InputError
from trueline.evaluate.judges.told import ToldJudge, facts_of
from trueline.records import Exchange, Prompt


def asked(facts):
    return Prompt.from_user("Write a brief.", {} if facts is None else {"facts": facts})


def share(text, facts):
    return ToldJudge().rate([Exchange.of(asked(facts), text)]).scores.values[0, 0]


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        ("The council of Ashford voted 7 to 2.", ["Ashford", "7 to 2"], 1.0),
        ("The council of ASHFORD voted.", ["Ashford", "7 to 2"], 0.5),
        ("Sales fell by 4 percent.", [["4%", "4 percent"]], 1.0),
        ("Sales fell by 40 percent.", [["4%", "4 percent"]], 0.0),
        ("It costs 3,200 dollars.", ["200"], 1.0),  # a comma parts words
        ("It costs 1200 dollars.", ["200"], 0.0),
        ("议会以7比2通过", ["7比2", "六月"], 0.5),
        ("", ["a", "b", "c", "d"], 0.0),
    ],
)
def test_the_share_of_facts(text, facts, expected):
    assert share(text, facts) == expected


@given(
    st.lists(st.sampled_from("ant bee cat dog elk".split()), min_size=1),
    st.sets(st.sampled_from("ant bee cat".split())),
)
def test_it_is_the_mean_of_single_facts_and_more_text_never_lowers_it(facts, words):
    text = " ".join(sorted(words))
    assert share(text, facts) == pytest.approx(np.mean([fact in words for fact in facts]))
    assert share(text + " dog", facts) >= share(text, facts)


def test_without_facts_there_is_no_verdict():
    assert np.isnan(share("anything", None)) and np.isnan(share("anything", []))
    pair = [Exchange.of(asked(None), text) for text in ("one", "two")]
    assert np.isnan(ToldJudge().compare(pair[:1], pair[1:])).all()


def test_more_facts_are_better_and_as_many_are_a_tie():
    facts = ["Ashford", "June"]
    before = [Exchange.of(asked(facts), t) for t in ("Ashford", "Ashford", "Ashford in June")]
    after = [Exchange.of(asked(facts), t) for t in ("Ashford, June", "June", "nothing")]
    assert ToldJudge().compare(before, after).tolist() == [1, 0.5, 0]


@pytest.mark.parametrize("facts", ["Ashford", 3, [3], [""], [[]], [["a", " "]], {"a": 1}])
def test_what_is_no_list_of_facts_is_told(facts):
    with pytest.raises(InputError, match="facts must be a list"):
        facts_of(asked(facts))
