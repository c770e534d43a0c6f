"""From people's labels to what an algorithm without sampling learns from."""

import numpy as np
import pytest

from trueline.align.judgement import Judgement
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.labelled import labelled_answers, labelled_pairs, prompt_of, prompt_row, unit_of, unit_row
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating, split_of

ANNA, BEN = Annotator("anna"), Annotator("ben")
PROMPTS = [Prompt.from_user(f"question {i}", {"n": i}) for i in range(30)]
TRAIN = [p for p in PROMPTS if split_of(p) == "train"]
GOOD = {p.id: Exchange.of(p, "good", "import", "length") for p in PROMPTS}
BAD = {p.id: Exchange.of(p, "bad answer") for p in PROMPTS}


def snapshot(ratings=(), comparisons=()):
    exchanges = [*GOOD.values(), *BAD.values()]
    return FeedbackSnapshot(
        {p.id: p for p in PROMPTS}, {e.completion.id: e.completion for e in exchanges}, tuple(ratings),
        tuple(comparisons),
    )  # fmt: skip


def comparison(p, preference, dimension="quality", who=ANNA):
    """From -3, the good one much better, to 3, the bad one."""
    return Comparison(GOOD[p.id].completion.id, BAD[p.id].completion.id, dimension, preference, who)


def rating(exchange, value, dimension="quality"):
    return Rating(exchange.completion.id, dimension, value, ANNA)


def judge(exchanges):
    return Judgement(np.array([float(len(e.completion.text)) for e in exchanges]), {})


def texts(units):
    return [[x.exchange.completion.text for x in unit] for unit in units]


def test_labelled_answers_have_the_learned_reward_standardised():
    found = labelled_answers(snapshot([rating(GOOD[p.id], 5) for p in PROMPTS] + [rating(BAD[TRAIN[0].id], 1)]), judge)
    assert len(found) == len(TRAIN) + 1
    rewards = np.array([u[0].reward for u in found])
    assert rewards.mean() == pytest.approx(0) and rewards.std() == pytest.approx(1)
    assert texts([max(found, key=lambda u: u[0].reward)]) == [["bad answer"]]


def test_nobody_learns_from_test_prompts_or_from_answers_without_a_label():
    assert {u[0].exchange.prompt for u in labelled_answers(snapshot([rating(GOOD[p.id], 5) for p in PROMPTS]), judge)
            } == set(TRAIN)  # fmt: skip
    assert labelled_answers(snapshot(), judge) == []


def test_pairs_are_the_better_one_first_by_the_sum_of_what_people_say():
    first, second, third, *_ = TRAIN
    units = labelled_pairs(
        snapshot(
            comparisons=[
                comparison(first, -1),
                comparison(second, -1),
                comparison(second, 3, who=BEN),
                comparison(third, -2),
                comparison(third, 2, "safety"),
            ]
        ),
        {"quality": 1.0, "safety": 1.0},
    )
    by_prompt = {u[0].exchange.prompt.id: [x.exchange.completion.text for x in u] for u in units}
    assert by_prompt == {first.id: ["good", "bad answer"], second.id: ["bad answer", "good"]}
    assert all([x.reward for x in u] == [1.0, 0.0] for u in units)


def test_a_dimensions_weight_decides():
    both = snapshot(comparisons=[comparison(TRAIN[0], -2), comparison(TRAIN[0], 1, "safety")])
    assert texts(labelled_pairs(both, {"quality": 1.0, "safety": 1.0})) == [["good", "bad answer"]]
    assert texts(labelled_pairs(both, {"quality": 1.0, "safety": 5.0})) == [["bad answer", "good"]]


def test_without_comparisons_ratings_make_the_pairs():
    ratings = [rating(GOOD[TRAIN[0].id], 5), rating(BAD[TRAIN[0].id], 2), rating(GOOD[TRAIN[1].id], 3),
               rating(BAD[TRAIN[1].id], 3)]  # fmt: skip
    assert texts(labelled_pairs(snapshot(ratings), {"quality": 1.0})) == [["good", "bad answer"]]


def test_units_survive_json():
    [unit] = labelled_pairs(snapshot(comparisons=[comparison(TRAIN[0], -1)]), {"quality": 1.0})
    found = unit_of(unit_row(unit))
    assert found == unit
    assert found[0].exchange.prompt.meta == {"n": TRAIN[0].meta["n"]}
    assert prompt_of(prompt_row(TRAIN[0])) == TRAIN[0]
