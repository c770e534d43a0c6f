"""People are asked first where the members of a reward model disagree."""

from committee import Member

from trueline.config import LabellingConfig
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.labelling.queue import Queue
from trueline.loop.asking import ask_where_unsure
from trueline.records import Exchange, Prompt
from trueline.reward.ensemble import Ensemble


def test_the_queue_is_put_in_the_order_of_what_the_members_disagree_about(store):
    # What the members think of a and b: the same, the opposite, and nearly the same.
    for i, (a, b) in enumerate([("1 1", "2 2"), ("9 -9", "-9 9"), ("0 0", "0.1 0.11"), ("1 1", "1.9 1")]):
        for text in (a, b):
            store.add(to(f"question {i}", text))
    add_items(store, unjudged(store), 1)
    assert ask_where_unsure(store, Member(0)) == 0
    assert ask_where_unsure(store, Ensemble([Member(0)])) == 0
    assert ask_where_unsure(store, Ensemble([Member(0), Member(1)])) == 4
    queue = Queue(store, LabellingConfig(judgements=1, again=0))
    order = [queue.claim(person).prompt.messages[0].content[-1] for person in "abcd"]
    assert order == ["1", "3", "2", "0"]


def to(question, text):
    return [Exchange.of(Prompt.from_user(question), text)]
