"""Scores freed of length: on planted data, in explanations, and on real data where the longer answer mostly wins."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from trueline.config import RewardConfig
from trueline.feedback.importing import import_file
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating
from trueline.reward.linear import LENGTH_PART, LinearReward
from trueline.reward.registry import load_reward
from trueline.reward.text import words

ANNA = Annotator("Anna")


def snapshot(exchanges, ratings=(), comparisons=()):
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )


def held_out(model, s):
    test = s.split("test")
    exchanges = [test.exchange(i) for i in test.completions]
    lengths = [len(words(e.completion.text)) for e in exchanges]
    return exchanges, model.score(exchanges).values[:, 0], lengths


@pytest.fixture(scope="module")
def longer_is_better():
    """A rating is helped by length and by the word "clear", half each."""
    rng, exchanges, ratings = np.random.default_rng(0), [], []
    for i in range(900):
        n, good = int(np.exp(rng.normal(2.5, 0.6))) + 1, int(rng.integers(0, 2))
        text = " ".join([*rng.choice("we send you the parcel order today soon here".split(), n), *["clear"] * good])
        e = Exchange.of(Prompt.from_user(f"question {i}"), text)
        exchanges.append(e)
        value = 2.5 + 1.2 * (np.log(n) - 2.5) / 0.6 * 0.6 + 1.2 * (good - 0.5) + rng.normal(0, 0.3)
        ratings.append(Rating(e.completion.id, "quality", int(np.clip(round(value), 1, 5)), ANNA))
    return snapshot(exchanges, ratings)


@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_what_length_alone_predicts_is_gone_and_the_word_stays(tmp_path, longer_is_better, kind):
    correlation, effect = {}, {}
    for control in (False, True):
        config = RewardConfig(kind=kind, length_control=control, max_features=100, features=("words", "style"))
        model = LinearReward(config, ("quality",))
        fit = model.fit(longer_is_better).dimensions["quality"]
        exchanges, scores, lengths = held_out(model, longer_is_better)
        correlation[control] = spearmanr(scores, lengths).statistic
        assert fit.length_correlation == pytest.approx(correlation[control])
        good = np.array(["clear" in e.completion.text for e in exchanges])
        effect[control] = scores[good].mean() - scores[~good].mean()
    assert correlation[False] > 0.3 and abs(correlation[True]) < 0.15
    assert effect[True] > effect[False]
    model.save(tmp_path / "m")
    assert np.array_equal(load_reward(tmp_path / "m").score(exchanges).values[:, 0], scores)


def test_the_part_of_length_stands_in_the_explanation(longer_is_better):
    model = LinearReward(RewardConfig(length_control=True, max_features=100, features=("words", "style")), ("quality",))
    model.fit(longer_is_better)
    found = []
    for n in (4, 40):
        e = Exchange.of(Prompt.from_user("q"), " ".join(["parcel order"] * (n // 2)))
        attribution, score = model.explain(e), model.score([e]).values[0, 0]
        assert abs(attribution.base[0] + sum(attribution.parts[0].values()) - score) < 1e-9
        found.append(attribution.parts[0][LENGTH_PART])
    assert found[0] > found[1]
    plain = LinearReward(RewardConfig(max_features=100, features=("words", "style")), ("quality",))
    plain.fit(longer_is_better)
    assert LENGTH_PART not in plain.explain(e).parts[0]


def halved(s):
    """Every other prompt held out: enough of them that the correlation's own noise is small."""
    prompts = {
        i: Prompt(p.messages, {**p.meta, "split": ("train", "test")[int(i, 16) % 2]}) for i, p in s.prompts.items()
    }
    return FeedbackSnapshot(prompts, s.completions, s.ratings, s.comparisons)


def oasst(path):
    exchanges, comparisons = [], []
    for row in json.loads(path.read_text("utf-8")):
        prompt = Prompt.from_user("\n".join(t for t in (row["instruction"], row["input"]) if t))
        answers = [Exchange.of(prompt, text) for text in row["output"]]
        exchanges += answers
        for k, better in enumerate(answers):
            for worse in answers[k + 1 :]:
                if better.completion.id != worse.completion.id:
                    ids = better.completion.id, worse.completion.id
                    comparisons.append(Comparison(*ids, "quality", -2, ANNA))
    return snapshot(exchanges, (), comparisons)


def helpdesk(tmp_path, path):
    with FeedbackStore.open(tmp_path / "f.db") as store:
        import_file(store, "helpdesk", path, ("quality",))
        return store.snapshot()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oasst_zh/oaast_rm_zh.json", "helpdesk/helpdesk_en.jsonl"])
def test_held_out_scores_do_not_follow_length_on_real_data(tmp_path, shared_data, name):
    path = shared_data(name)
    s, learn_from = (oasst(path), "comparisons") if "oasst" in name else (helpdesk(tmp_path, path), "ratings")
    s, found = halved(s), {}
    for control in (False, True):
        model = LinearReward(RewardConfig(learn_from=learn_from, length_control=control), ("quality",))
        fit = model.fit(s).dimensions["quality"]
        _, scores, lengths = held_out(model, s)
        found[control] = spearmanr(scores, lengths).statistic
        print(f"\n{name}: length control {control}: Spearman {found[control]:.3f}, {fit}")
    assert abs(found[True]) <= 0.05 + 2 / np.sqrt(len(scores))  # the bar, and twice the correlation's standard error
