"""People are asked first where the reward model is least sure."""

import numpy as np

from trueline.config import LabellingConfig
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.labelling.queue import Queue
from trueline.loop.asking import ask_where_unsure
from trueline.records import Exchange, Prompt, Scores


class Ensemble:
    """Its members differ by the number in an answer."""

    def score(self, exchanges):
        std = np.array([[float(e.completion.text), 0.0] for e in exchanges])
        return Scores(("quality", "safety"), np.zeros_like(std), std)


class Single:
    def score(self, exchanges):
        return Scores(("quality",), np.zeros((len(exchanges), 1)))


def test_the_queue_is_put_in_the_order_of_the_deviation_of_an_ensemble(store):
    for i, (a, b) in enumerate([(1, 2), (5, 1), (3, 3), (0, 0)]):
        store.add(Exchange.of(Prompt.from_user(f"question {i}"), f"{x}.{y}") for y, x in enumerate((a, b)))
    add_items(store, unjudged(store), 1)
    assert ask_where_unsure(store, Single()) == 0
    assert ask_where_unsure(store, Ensemble()) == 4
    queue = Queue(store, LabellingConfig(judgements=1, again=0))
    order = []
    for person in "abcd":
        order.append(queue.claim(person).prompt.messages[0].content)
    assert order == ["question 1", "question 2", "question 0", "question 3"]
