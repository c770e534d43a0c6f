"""Ensembles: combination by hand, uncertainty that grows where it should, and everything a single model does too."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from trueline import durable
from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Exchange, Prompt, Rating, Scores
from trueline.reward.ensemble import Ensemble, resampled
from trueline.reward.registry import load_reward, new_reward

PERSON = Annotator("Anna")
SMALL = {"max_features": 300, "relations": 2, "features": ("words", "style")}


class Fixed:
    """A member that scores every answer alike."""

    dimensions = ("quality",)

    def __init__(self, value):
        self.value, self.temperature = value, np.array([value])

    def score(self, exchanges):
        return Scores(self.dimensions, np.full((len(exchanges), 1), self.value))


@pytest.mark.parametrize(("combine", "value"), [("mean", 2.0), ("lower", 2.0 - 1.0), ("worst", 1.0)])
def test_scores_are_combined_as_asked(combine, value):
    scores = Ensemble([Fixed(1.0), Fixed(2.0), Fixed(3.0)], combine).score([Exchange.of(Prompt.from_user("q"), "a")])
    assert scores.values.tolist() == [[value]] and scores.std.tolist() == [[1.0]]


@pytest.fixture(scope="module")
def fitted(planted):
    s = planted(60)
    model = new_reward(RewardConfig(members=4, **SMALL), ("quality", "safety"))
    return model, model.fit(s), s


def test_members_learn_from_different_draws_of_the_training_prompts(planted):
    s = planted(60)
    assert resampled(s, 0) is s
    draws = [resampled(s, i) for i in (1, 2)]
    assert draws[0].ratings != draws[1].ratings
    assert resampled(s, 1).ratings == draws[0].ratings
    for drawn in draws:
        assert drawn.split("test").ratings == s.split("test").ratings
        labels = {r.completion_id for r in drawn.split("train").ratings} | {
            r.completion_id for r in drawn.split("validation").ratings
        }
        everything = {r.completion_id for r in s.ratings if r not in s.split("test").ratings}
        assert 0.45 < len(labels) / len(everything) < 0.8  # 1 - 1 / e = .63 of the prompts are drawn


def test_it_learns_reports_and_knows_its_doubt(fitted):
    model, report, s = fitted
    assert report.dimensions["quality"].accuracy > 0.8
    assert report.snapshot_sha256 == s.sha256
    known = Exchange.of(Prompt.from_user("q"), "clear clear the order a parcel")
    scores = model.score([known, *[s.exchange(i) for i in list(s.completions)[:30]]])
    assert scores.std.shape == scores.values.shape and np.all(scores.std > 0)


def test_saved_members_score_alike(fitted, tmp_path):
    model, _, s = fitted
    exchanges = [s.exchange(i) for i in list(s.completions)[:20]]
    model.save(tmp_path / "m")
    loaded = load_reward(tmp_path / "m")
    found, expected = loaded.score(exchanges), model.score(exchanges)
    assert np.array_equal(found.values, expected.values) and np.array_equal(found.std, expected.std)
    assert loaded.report_ == model.report_


@pytest.mark.parametrize("combine", ["mean", "lower", "worst"])
def test_parts_sum_to_the_score(fitted, combine):
    model, _, s = fitted
    model = Ensemble(model.members, combine)
    exchange = s.exchange(next(iter(s.completions)))
    attribution, scores = model.explain(exchange), model.score([exchange]).values[0]
    for base, parts, score in zip(attribution.base, attribution.parts, scores, strict=True):
        assert abs(base + sum(parts.values()) - score) < 1e-9


def test_the_error_grows_with_the_uncertainty():
    """On half of the words people do not agree: there the model is wrong more, and its members differ more."""
    rng = np.random.default_rng(0)
    words = [f"word{chr(97 + i)}" for i in range(26)]
    worth = dict(zip(words, rng.normal(0, 0.5, 26), strict=True))

    def draw(n, name):
        found = []
        for i in range(n):
            disputed = bool(rng.integers(0, 2))
            said = rng.choice(words[13:] if disputed else words[:13], 3, replace=False)
            exchange = Exchange.of(Prompt.from_user(f"{name} {i}"), " ".join(said))
            found.append((exchange, sum(worth[w] for w in said), disputed))
        return found

    taught, new = draw(600, "taught"), draw(800, "new")
    ratings = [
        Rating(e.completion.id, "quality", int(np.clip(round(3 + v + rng.normal(0, 2 if d else 0.1)), 1, 5)), PERSON)
        for e, v, d in taught
    ]
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e, *_ in taught}, {e.completion.id: e.completion for e, *_ in taught}, ratings, ()
    )
    model = new_reward(RewardConfig(members=8, max_features=200, features=("words",)), ("quality",))
    model.fit(s)
    scores, truth = model.score([e for e, *_ in new]), np.array([v for _, v, _ in new])
    slope, level = np.polyfit(scores.values[:, 0], truth, 1)
    error, doubt = np.abs(slope * scores.values[:, 0] + level - truth), scores.std[:, 0]
    assert spearmanr(error, doubt).statistic > 0.15
    assert error[np.argsort(doubt)[:400]].mean() < 0.8 * error[np.argsort(doubt)[400:]].mean()


def test_half_an_ensemble_is_refused(fitted, tmp_path):
    model, _, _ = fitted
    folder = tmp_path / "m"
    model.save(folder)
    head = durable.read_json(folder / "model.json")
    for change in ({"members": 5}, {"combine": "best"}, {"members": 0}):
        durable.write_json(folder / "model.json", {**head, **change})
        with pytest.raises(InputError, match="m"):
            load_reward(folder)
