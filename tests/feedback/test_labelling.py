"""The labelling queue, on both stores: nobody gets what is another's, nothing is judged too often, undo undoes."""

import itertools
import random

import pytest
import sqlalchemy as sa

from trueline.config import LabellingConfig
from trueline.feedback import queue_tables as q
from trueline.feedback.labelling import doubts
from trueline.feedback.labelling.items import Item, add_items, unjudged
from trueline.feedback.labelling.judging import flag, skip, standing, submit, undo
from trueline.feedback.labelling.queue import Queue, open_item
from trueline.feedback.labelling.records import OVERALL, Judgement, Refused
from trueline.records import Exchange, Prompt

DIMENSIONS = ("quality", "safety")


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def filled(store, n=6, judgements=2, **settings):
    exchanges = [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(n) for j in range(2)]
    store.add(exchanges)
    assert add_items(store, unjudged(store), judgements) == n
    config = LabellingConfig(judgements=judgements, **{"again": 0, **settings})
    return Queue(store, config, Clock())


def said(task, preference=2, left=4, right=2, **more):
    marks = (dict.fromkeys(DIMENSIONS, left), dict.fromkeys(DIMENSIONS, right))
    return Judgement(tuple(c.id for c in task.answers), preference, marks=marks[: len(task.answers)], **more)


_keys = itertools.count()


def judge(queue, person, **content):
    """The next task of a person, judged; None where there is none."""
    task = queue.claim(person)
    if task is not None:
        submit(queue, task.id, person, said(task, **content), f"k{next(_keys)}", DIMENSIONS)
    return task


def test_each_item_is_judged_as_often_as_it_wants_and_by_different_people(store):
    queue = filled(store, 5, judgements=2, most=2)
    done = {p: [] for p in ("Anna", "Ben", "Clara")}
    for person in itertools.cycle(done):
        task = judge(queue, person)
        if task is None:
            break
        done[person].append(task.item_id)
    everything = [i for items in done.values() for i in items]
    assert len(everything) == 10 and all(everything.count(i) == 2 for i in everything)
    assert all(len(set(items)) == len(items) for items in done.values())
    assert len(store.snapshot().comparisons) == 10 and len(store.snapshot().ratings) == 10 * 2 * 2


def test_a_label_says_the_same_whichever_side_was_shown(store):
    """Whoever sees the pair the other way round and says the same of the texts has made the same label."""
    queue = filled(store, 8, judgements=4)
    for person in ("Anna", "Ben", "Clara", "David"):
        while task := queue.claim(person):
            better_left = task.answers[0].text == "answer 1"
            judgement = said(task, -3 if better_left else 3, 5 if better_left else 1, 1 if better_left else 5)
            submit(queue, task.id, person, judgement, f"k{next(_keys)}", DIMENSIONS)
    with store.engine.connect() as c:
        flipped = list(c.execute(sa.select(q.assignments.c.flipped)).scalars())
    assert 0 < sum(flipped) < len(flipped)
    snapshot = store.snapshot()
    for c in snapshot.comparisons:
        better = c.b_id if c.preference > 0 else c.a_id
        assert abs(c.preference) == 3 and snapshot.completions[better].text == "answer 1" and c.dimension == OVERALL
    assert {(snapshot.completions[r.completion_id].text, r.value) for r in snapshot.ratings} == {
        ("answer 1", 5), ("answer 0", 1)
    }  # fmt: skip


def test_a_reload_gives_the_same_task_and_its_draft(store):
    queue = filled(store)
    task = queue.claim("Anna")
    queue.draft(task.id, "Anna", {"rationale": "half a thought"})
    again = queue.claim("Anna")
    assert (again.id, again.answers, again.draft) == (task.id, task.answers, {"rationale": "half a thought"})


def test_a_lease_that_runs_out_frees_the_place_and_keeps_the_draft(store):
    queue = filled(store, 1, judgements=1, lease=60)
    task = queue.claim("Anna")
    queue.draft(task.id, "Anna", {"rationale": "kept"})
    assert queue.claim("Ben") is None
    queue.clock.now += 59
    queue.renew(task.id, "Anna")
    queue.clock.now += 59
    assert queue.claim("Ben") is None
    queue.clock.now += 2
    taken = queue.claim("Ben")
    assert taken.item_id == task.item_id
    with pytest.raises(Refused) as caught:
        submit(queue, task.id, "Anna", said(task), "late", DIMENSIONS)
    assert caught.value.status == 409 and queue.task(task.id, "Anna").draft == {"rationale": "kept"}
    queue.release(taken.id, "Ben")
    submit(queue, task.id, "Anna", said(task), "later", DIMENSIONS)  # the place is free again: nothing was lost
    assert len(store.snapshot().comparisons) == 1


def test_another_persons_task_is_refused_and_an_unknown_one_is_not_found(store):
    queue = filled(store)
    task = queue.claim("Anna")
    for act in (
        lambda: submit(queue, task.id, "Ben", said(task), "k", DIMENSIONS),
        lambda: queue.renew(task.id, "Ben"),
        lambda: queue.draft(task.id, "Ben", {}),
        lambda: queue.release(task.id, "Ben"),
        lambda: skip(queue, task.id, "Ben", "", "k"),
        lambda: flag(queue, task.id, "Ben", "", "k"),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.status == 403
    with pytest.raises(Refused) as caught:
        queue.renew(10**9, "Anna")
    assert caught.value.status == 404


def test_the_same_submission_twice_is_one_and_another_under_its_key_is_a_conflict(store):
    queue = filled(store)
    task = queue.claim("Anna")
    first = submit(queue, task.id, "Anna", said(task), "key", DIMENSIONS)
    second = submit(queue, task.id, "Anna", said(task), "key", DIMENSIONS)
    assert not first.repeated and second.repeated and second.event == first.event
    with pytest.raises(Refused) as caught:
        submit(queue, task.id, "Anna", said(task, -1), "key", DIMENSIONS)
    assert caught.value.status == 409
    assert (caught.value.details["stored"]["preference"], caught.value.details["sent"]["preference"]) == (2, -1)
    with pytest.raises(Refused) as caught:
        submit(queue, task.id, "Anna", said(task), "another key", DIMENSIONS)
    assert caught.value.status == 409
    assert len(store.snapshot().comparisons) == 1


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"preference": None}, "preference"),
        ({"preference": 4}, "preference"),
        ({"marks": ({"quality": 3}, {"quality": 3, "safety": 3})}, "marks.left.safety"),
        ({"marks": ({"quality": 3, "safety": 0}, {"quality": 3, "safety": 3})}, "marks.left.safety"),
        ({"marks": ({"quality": 3, "safety": 1}, {"quality": 3, "safety": 3, "wit": 2})}, "marks.right.wit"),
        ({"marks": ()}, "marks.left.quality"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_kept(store, change, name):
    queue = filled(store)
    task = queue.claim("Anna")
    judgement = Judgement(**{**vars(said(task)), **change})
    with pytest.raises(Refused) as caught:
        submit(queue, task.id, "Anna", judgement, "k", DIMENSIONS)
    assert caught.value.status == 422 and caught.value.details["field"] == name
    assert store.snapshot().comparisons == ()


def test_sides_that_were_not_shown_are_refused(store):
    queue = filled(store)
    task = queue.claim("Anna")
    turned = Judgement(tuple(c.id for c in task.answers[::-1]), 1, marks=said(task).marks)
    with pytest.raises(Refused) as caught:
        submit(queue, task.id, "Anna", turned, "k", DIMENSIONS)
    assert caught.value.status == 409


def test_not_applicable_is_kept_apart_from_not_answered(store):
    queue = filled(store, 1)
    task = queue.claim("Anna")
    submit(queue, task.id, "Anna", said(task, None, None, None, both_bad=True), "k", DIMENSIONS)
    assert {r.value for r in store.snapshot().ratings} == {None}
    [c] = store.snapshot().comparisons
    assert c.preference == 0 and c.both_bad


def test_undo_takes_the_labels_back_and_gives_the_task_with_what_was_said(store):
    queue = filled(store, 1, judgements=1)
    task = judge(queue, "Anna", rationale="because")
    assert undo(queue, "Anna", "u1") == task.id
    assert undo(queue, "Anna", "u1") == task.id  # the network asked twice
    assert store.snapshot().ratings == () and store.snapshot().comparisons == ()
    assert queue.claim("Ben") is None  # the place is still Anna's
    back = queue.claim("Anna")
    assert back.id == task.id and back.draft["rationale"] == "because"
    submit(queue, task.id, "Anna", said(task, -1), "second", DIMENSIONS)
    [c] = store.snapshot().comparisons
    assert abs(c.preference) == 1
    with store.engine.connect() as c:
        assert list(c.execute(sa.select(q.judgements.c.kind).order_by(q.judgements.c.event)).scalars()) == [
            "judge", "undo", "judge"
        ]  # fmt: skip


def test_nothing_to_undo_is_said(store):
    with pytest.raises(Refused) as caught:
        undo(filled(store), "Anna", "u")
    assert caught.value.status == 404


def test_a_skipped_item_does_not_come_back_but_others_get_it(store):
    queue = filled(store, 1, judgements=1)
    task = queue.claim("Anna")
    skip(queue, task.id, "Anna", "cannot judge law", "s")
    skip(queue, task.id, "Anna", "cannot judge law", "s")
    assert queue.claim("Anna") is None
    assert queue.claim("Ben").item_id == task.item_id


def test_a_released_task_comes_again(store):
    queue = filled(store, 1, judgements=1)
    task = queue.claim("Anna")
    queue.release(task.id, "Anna")
    assert queue.claim("Anna").id == task.id


def test_a_flagged_item_is_blurred_for_the_next_person(store):
    queue = filled(store, 1)
    task = queue.claim("Anna")
    assert not task.blurred
    flag(queue, task.id, "Anna", "hateful", "f")
    assert queue.claim("Ben").blurred


def test_where_people_disagree_one_more_at_a_time_is_asked(store):
    queue = filled(store, 1, judgements=2, most=4)
    text = {"answer 0": -2, "answer 1": 2}  # which side is better, by the left text

    def opinion(person, likes):
        task = queue.claim(person)
        if task is None:
            return None
        submit(queue, task.id, person, said(task, text[task.answers[0].text] * likes, 3, 3), person, DIMENSIONS)
        return task

    assert opinion("Anna", 1) and opinion("Ben", -1)
    assert opinion("Clara", 1) and opinion("David", 1)
    assert opinion("Eve", 1) is None  # four at most
    with store.engine.connect() as c:
        row = c.execute(sa.select(q.items)).one()
        assert len(standing(c, row.id)) == 4
    assert (row.wanted, row.free, row.judged) == (4, 0, 4) and row.disagreement > 0.5


def test_where_people_agree_nobody_more_is_asked(store):
    queue = filled(store, 1, judgements=2)
    for person in ("Anna", "Ben"):
        task = queue.claim(person)
        submit(queue, task.id, person, said(task, 0, 3, 3), person, DIMENSIONS)
    assert queue.claim("Clara") is None


def test_gold_comes_first_for_everybody_then_disagreement_then_doubt_then_what_few_have_judged(store):
    exchanges = [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(5) for j in range(2)]
    store.add(exchanges)
    plain, gold, doubt, contested, last = [
        Item(exchanges[2 * i].prompt.id, exchanges[2 * i].completion.id, exchanges[2 * i + 1].completion.id, **more)
        for i, more in enumerate([{}, {"gold": {"preference": 2}}, {"uncertainty": 0.8}, {}, {}])
    ]
    add_items(store, [contested], 2)
    queue = Queue(store, LabellingConfig(judgements=2, again=0), Clock())
    for person, preference in (("Anna", 3), ("Ben", 3)):  # one and the other: sides differ or not, say opposite things
        task = queue.claim(person)
        first = task.answers[0].text == "answer 0"
        wanted = preference if (first == (person == "Anna")) else -preference
        submit(queue, task.id, person, said(task, wanted, 3, 3), person, DIMENSIONS)
    add_items(store, [plain, gold, doubt, last], 2)
    order = [task.item_id for _ in range(5) if (task := judge(queue, "Clara"))]
    assert order[:3] == [gold.id, contested.id, doubt.id] and set(order[3:]) == {plain.id, last.id}
    assert [judge(queue, "David").item_id for _ in range(2)] == [gold.id, contested.id]


def test_what_a_reward_model_doubts_comes_first_but_after_what_people_disagree_on(store):
    queue = filled(store, 5, judgements=2)
    found = {item: answers for part in doubts.waiting(store, at_once=2) for item, answers in part.items()}
    assert len(found) == 5
    assert all({a.completion.text for a in answers} == {"answer 0", "answer 1"} for answers in found.values())
    deviations = dict(zip(sorted(found), (0.1, 2.0, 0.0, 0.7, 0.4), strict=True))
    doubts.note(store, deviations)
    wanted = sorted(deviations, key=lambda item: -deviations[item])
    assert [judge(queue, "Anna").item_id for _ in range(5)] == wanted
    first = wanted[-1]
    for person, preference in (("Ben", 3), ("Clara", -3)):
        task = open_item(queue, first, person)
        a_first = task.answers[0].text == "answer 0"
        submit(queue, task.id, person, said(task, preference if a_first else -preference, 3, 3), person, DIMENSIONS)
    doubts.note(store, {first: 0.0})  # noted again: the disagreement still counts
    assert queue.claim("David").item_id == first


def test_some_items_are_served_again_on_the_other_side_and_make_no_second_label(store):
    queue = filled(store, 40, judgements=1, again=0.25)
    seen, again = {}, []
    while task := queue.claim("Anna"):
        if task.again:
            again.append((task, seen[task.item_id]))
        else:
            seen[task.item_id] = task
        submit(queue, task.id, "Anna", said(task), f"k{next(_keys)}", DIMENSIONS)
    assert len(seen) == 40 and 4 <= len(again) <= 24
    assert all([c.id for c in t.answers] == [c.id for c in first.answers[::-1]] for t, first in again)
    assert len(store.snapshot().comparisons) == 40


def test_a_single_answer_is_rated_without_a_preference(store):
    exchange = Exchange.of(Prompt.from_user("question"), "answer")
    store.add([exchange])
    assert add_items(store, unjudged(store, pairs=False), 1) == 1
    queue = Queue(store, LabellingConfig(judgements=1, ratings=False), Clock())
    task = queue.claim("Anna")
    with pytest.raises(Refused):
        submit(queue, task.id, "Anna", Judgement((exchange.completion.id,)), "k", DIMENSIONS)
    submit(queue, task.id, "Anna", said(task, None, 5), "k2", DIMENSIONS)
    assert {r.value for r in store.snapshot().ratings} == {5} and store.snapshot().comparisons == ()


def test_items_are_put_in_once(store, exchanges):
    store.add(exchanges)
    items = list(unjudged(store))
    assert add_items(store, items, 2) == 3
    assert add_items(store, items, 2) == 0 and list(unjudged(store)) == []


def test_an_item_held_for_one_person_goes_to_nobody_else(store, exchanges):
    store.add(exchanges)
    a, b = exchanges[:2]
    add_items(store, [Item(a.prompt.id, a.completion.id, b.completion.id, held_for="Anna")], 1)
    queue = Queue(store, LabellingConfig(), Clock())
    assert queue.claim("Ben") is None and queue.claim("Anna") is not None


def test_an_item_that_is_opened_is_the_one_that_the_label_page_shows(store):
    """Also where the person holds a later task: a reviewer opens what they left, a chat waits meanwhile."""
    queue = filled(store)
    first = queue.claim("Anna")
    queue.clock.now += 1
    with store.engine.connect() as c:
        other = next(i for i in c.execute(sa.select(q.items.c.id)).scalars() if i != first.item_id)
    later = open_item(queue, other, "Anna")
    assert queue.claim("Anna").id == later.id
    queue.clock.now += 1
    assert open_item(queue, first.item_id, "Anna").id == first.id
    assert queue.claim("Anna").id == first.id


def invariants(store, queue):
    with store.engine.connect() as c:
        items = c.execute(sa.select(q.items)).all()
        rows = c.execute(sa.select(q.assignments).where(q.assignments.c.again == 0)).all()
    for item in items:
        mine = [r for r in rows if r.item_id == item.id]
        holding = [r for r in mine if r.slot is not None]
        assert len(holding) == item.wanted - item.free and {r.slot for r in holding} <= set(range(item.wanted))
        assert {r.state for r in holding} <= {"leased", "judged"}
        assert item.judged == sum(r.state == "judged" for r in mine) <= item.wanted <= queue.config.most
    judged = {(r.item_id, r.annotator) for r in rows if r.state == "judged"}
    assert len(store.snapshot().comparisons) == len(judged)


def act(queue, action, task, person, rng, key):
    if action == "submit":
        judgement = said(task, rng.choice([-3, 0, 3]), rng.randint(1, 5), rng.randint(1, 5))
        submit(queue, task.id, person, judgement, key, DIMENSIONS)
    elif action == "skip":
        skip(queue, task.id, person, "", key)
    elif action == "draft":
        queue.draft(task.id, person, {"rationale": key})
    else:
        getattr(queue, action)(task.id, person)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_people_do_the_books_are_right(store, seed):
    rng = random.Random(seed)
    queue = filled(store, 6, judgements=2, most=3, lease=100, again=0.2)
    people = ["Anna", "Ben", "Clara", "David"]
    held = {}
    for step in range(150):
        person = rng.choice(people)
        action = rng.choice(["claim", "claim", "submit", "submit", "skip", "release", "undo", "wait", "draft", "renew"])
        try:
            if action == "claim":
                held[person] = queue.claim(person)
            elif action == "undo":
                undo(queue, person, str(step))
            elif action == "wait":
                queue.clock.now += rng.choice([1, 60, 120])
            elif task := held.get(person):
                act(queue, action, task, person, rng, str(step))
        except Refused:
            pass
        invariants(store, queue)
