"""Who teaches the reward and who the judge."""

import itertools

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.people import halves
from trueline.records import Annotator, Exchange, Prompt, Rating

EXCHANGE = Exchange.of(Prompt.from_user("hello"), "good day")


def by(**people):
    """A snapshot in which each person has rated in some dimensions, q, s or c."""
    ratings = [Rating(EXCHANGE.completion.id, d, 3, Annotator(name)) for name, known in people.items() for d in known]
    return FeedbackSnapshot(
        {EXCHANGE.prompt.id: EXCHANGE.prompt}, {EXCHANGE.completion.id: EXCHANGE.completion}, tuple(ratings), ()
    )


def split(**people):
    return tuple({a.name for a in half.annotators} for half in halves(by(**people)))


def test_people_who_did_the_same_are_told_off_by_name():
    assert split(ann="qs", bob="qs", cho="qs", dee="qs", eve="qs") == ({"ann", "cho", "eve"}, {"bob", "dee"})


def test_those_who_know_a_rare_dimension_are_parted():
    raters = {f"rater{i:02d}": "q" for i in range(1, 20)}
    teachers, judges = split(crowd="s", hh="s", **raters)
    assert len(teachers & {"crowd", "hh"}) == len(judges & {"crowd", "hh"}) == 1
    assert abs(len(teachers) - len(judges)) == 1


def test_a_single_expert_is_in_both_halves_and_nobody_else():
    assert split(ann="q", bob="q", cho="s") == ({"ann", "cho"}, {"bob", "cho"})
    assert split(ann="q") == ({"ann"}, {"ann"})


def test_both_halves_know_whatever_anybody_does():
    kinds = ["q", "s", "c", "qs", "qc", "sc", "qsc"]
    for chosen in itertools.product(kinds, repeat=4):
        people = dict(zip(("ann", "bob", "cho", "dee"), chosen, strict=True))
        for half in halves(by(**people)):
            assert {r.dimension for r in half.ratings} == set().union(*map(set, chosen))
