"""People as the judge, on both stores: what they say of a pair, whichever side it was shown on."""

import itertools

import numpy as np
import pytest

from trueline.config import LabellingConfig
from trueline.evaluate.judges.agreement import agreement_with_people
from trueline.evaluate.judges.people import PeopleJudge
from trueline.feedback.labelling.judging import submit, undo
from trueline.feedback.labelling.queue import Queue
from trueline.feedback.labelling.records import Judgement
from trueline.records import Annotator, Comparison, Exchange, Prompt

_keys = itertools.count()


def pairs(n):
    prompts = [Prompt.from_user(f"question {i}") for i in range(n)]
    return [Exchange.of(p, "old") for p in prompts], [Exchange.of(p, "new") for p in prompts]


def label(store, person, says):
    """This person judges all that waits for them; says(question): their preference for "new", None: both are bad."""
    queue = Queue(store, LabellingConfig(ratings=False, again=0))
    while task := queue.claim(person):
        wanted = says(int(task.prompt.messages[0].content.split()[1]))
        sign = 1 if task.answers[1].text == "new" else -1
        shown = tuple(a.id for a in task.answers)
        said = Judgement(shown, None if wanted is None else sign * wanted, both_bad=wanted is None)
        submit(queue, task.id, person, said, f"k{next(_keys)}", ("quality",))
    return queue


def test_what_people_say_is_read_towards_the_answer_after(store):
    before, after = pairs(8)
    judge = PeopleJudge(store)
    assert judge.ask(before, after) == 8 and judge.waiting(before, after) == 8
    assert np.isnan(judge.compare(before, after)).all()
    wanted = [3, -2, 0, 1, -3, 2, -1, None]
    label(store, "Anna", wanted.__getitem__)
    expected = [1, 0, 0.5, 1, 0, 1, 0, 0.5]
    assert judge.compare(before, after).tolist() == expected
    assert judge.compare(after, before).tolist() == [1 - e for e in expected]
    assert judge.waiting(before, after) == 0 and judge.rate(before) is None


def test_several_people_give_their_mean_and_what_is_undone_does_not_count(store):
    before, after = pairs(2)
    judge = PeopleJudge(store, judgements=3)
    judge.ask(before, after)
    label(store, "Anna", lambda i: 3)
    label(store, "Ben", lambda i: -1)
    assert judge.compare(before, after).tolist() == [0.5, 0.5]
    queue = label(store, "Clara", lambda i: 1)
    assert judge.compare(before, after) == pytest.approx([2 / 3, 2 / 3])
    undo(queue, "Clara", "undo")
    assert sorted(judge.compare(before, after)) == pytest.approx([0.5, 2 / 3])


def test_equal_texts_are_ties_that_nobody_is_asked_about_and_asking_again_adds_nothing(store):
    before, after = pairs(3)
    after[1] = before[1]
    judge = PeopleJudge(store)
    assert judge.ask(before, after) == 2 and judge.ask(before, after) == 0 and judge.ask(after, before) == 0
    assert judge.waiting(before, after) == 2
    found = judge.compare(before, after)
    assert np.isnan(found[[0, 2]]).all() and found[1] == 0.5


def test_pairs_that_were_never_asked_have_no_verdict(store):
    before, after = pairs(2)
    assert PeopleJudge(store).waiting(before, after) == 2


def test_simulated_annotators_are_not_people(store):
    before, after = pairs(2)
    judge = PeopleJudge(store)
    judge.ask(before, after)
    robot = Annotator("robot", simulated=True)
    said = [
        Comparison(a.completion.id, b.completion.id, "overall", 3, robot) for a, b in zip(before, after, strict=True)
    ]
    store.add(comparisons=said)
    assert judge.waiting(before, after) == 2
    label(store, "Anna", lambda i: -1)
    assert judge.compare(before, after).tolist() == [0, 0]


def test_people_agree_with_their_own_labels(store):
    before, after = pairs(12)
    judge = PeopleJudge(store, judgements=1)
    judge.ask(before, after)
    label(store, "Anna", lambda i: [2, -1, 0][i % 3])
    found = agreement_with_people(judge, store.snapshot())
    assert found.clear.value == found.every.value == 1 and (found.n_clear, found.n_every) == (8, 12)
