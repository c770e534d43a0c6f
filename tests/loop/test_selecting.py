"""What is labelled next: where a committee disagrees, drawn by its doubt, and never twice."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from committee import Member
from scipy.stats import chisquare

from trueline.config import CollectConfig, Config, ProjectConfig
from trueline.feedback.store import FeedbackStore
from trueline.loop import collecting
from trueline.loop.collecting import collect
from trueline.loop.project import Project
from trueline.loop.selecting import answer_doubts, item_doubts, keys, pair_doubts, select
from trueline.policy.load import load_policy
from trueline.records import Exchange, Prompt, split_of

MEMBERS = [Member(0), Member(1)]


def to(question, *texts):
    return [Exchange.of(Prompt.from_user(question), t) for t in texts]


def test_a_doubt_is_the_information_between_the_label_and_the_member():
    margins = np.random.default_rng(0).normal(0, 2, (3, 20, 2))
    temperature = np.array([0.5, 2.0])
    p = 1 / (1 + np.exp(-margins / temperature))
    # I(label; member) = KL(joint || product of the marginals), a definition that the code does not use.
    joint = np.stack([p, 1 - p]) / 3
    product = joint.sum(1, keepdims=True) * (1 / 3)
    wanted = (joint * np.log(joint / product)).sum((0, 1)).mean(-1)
    assert pair_doubts(margins, temperature) == pytest.approx(wanted, abs=1e-12)


def test_members_that_agree_have_no_doubt_however_close_the_answers():
    agreed = np.repeat(np.random.default_rng(1).normal(0, 1, (1, 30, 1)), 4, axis=0)
    agreed[:, 0] = 0
    assert pair_doubts(agreed, np.array([1.0])) == pytest.approx(np.zeros(30), abs=1e-12)
    assert pair_doubts(np.array([[[30.0]], [[-30.0]]]), np.array([np.nan])) == pytest.approx([np.log(2)], abs=1e-9)


def test_an_answer_is_doubted_by_its_pairs_with_the_others_to_its_prompt():
    answers = to("a", "0 0", "9 -9", "-9 9") + to("b", "5 5", "4 4")
    found = answer_doubts(MEMBERS, answers)
    full = pair_doubts(np.array([[[18.0]], [[-18.0]]]), np.ones(1))[0]
    half = pair_doubts(np.array([[[9.0]], [[-9.0]]]), np.ones(1))[0]
    assert found == pytest.approx([half, (full + half) / 2, (full + half) / 2, 0, 0])
    assert item_doubts(MEMBERS, [(answers[1], answers[2]), (answers[3], answers[4])]) == pytest.approx([full, 0])
    alone = to("c", "1 1") + to("d", "9 -9") + to("e", "2 2")
    assert np.argmax(answer_doubts(MEMBERS, alone)) == 1
    assert len(answer_doubts(MEMBERS, [])) == 0


def test_the_order_is_a_draw_without_replacement_by_the_cube_of_the_doubt():
    doubts = np.array([1.0, 1.2, 0.8])
    weight = doubts**3
    drawn = Counter(tuple(np.argsort(-keys(doubts, ["x", "y", "z"], seed)).tolist()) for seed in range(3000))
    orders = list(permutations(range(3)))
    wanted = [weight[a] / weight.sum() * weight[b] / (weight[b] + weight[c]) for a, b, c in orders]
    assert chisquare([drawn[o] for o in orders], 3000 * np.array(wanted)).pvalue > 1e-3


def test_nothing_is_chosen_twice_and_the_order_of_the_pool_does_not_matter():
    pool = to("a", *(f"{i} {-i}" for i in range(10))) + to("b", "0 0", "1 1")
    done = {pool[9].completion.id}
    chosen = select(MEMBERS, [*pool, *pool], done, 30, seed=1)
    ids = [e.completion.id for e in chosen]
    assert len(ids) == len(set(ids)) == 11 and not done & set(ids)
    assert [e.prompt.text for e in chosen[-2:]] == ["user: b"] * 2
    assert select(MEMBERS, pool[::-1], done, 5, seed=1) == chosen[:5]
    assert select(MEMBERS, pool, done, 11, seed=2) != chosen
    assert len(select([], pool, done, 4, seed=1)) == 4


def test_a_pool_is_sampled_larger_but_no_more_is_labelled_and_nothing_is_added_twice(tmp_path, monkeypatch):
    config = Config(project=ProjectConfig(seed=3), collect=CollectConfig(pool=3))
    project = Project(tmp_path, config)
    policy = load_policy(project.base_policy)
    prompts = project.prompts_to_ask(12, 3, 1)
    asked = []
    taken = collecting.select
    monkeypatch.setattr(collecting, "select", lambda *a: asked.append((len(a[0]), len(a[1]), a[3])) or taken(*a))
    first = collect(project, policy, prompts, "policy:x", 3, 1)
    with FeedbackStore.open(project.store_path) as store:
        snapshot = store.snapshot()
        again = collect(project, policy, prompts, "policy:x", 3, 1)
        assert store.snapshot().sha256 == snapshot.sha256 and again == first
    k = config.collect.completions
    trained = [c for c in snapshot.completions.values() if split_of(snapshot.prompts[c.prompt_id]) != "test"]
    assert 0.9 * 12 * k <= len(trained) <= 12 * k
    assert len({r.completion_id for r in snapshot.ratings}) == len(snapshot.completions)
    assert asked[0][:2] == (0, 12 * k * 3) and asked[-1][0] == collecting.MEMBERS
    assert sum(size for _, _, size in asked[: len(asked) // 2]) == 12 * k
