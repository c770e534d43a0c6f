"""Which labels moved a score: sums against the score, and a label's influence against a model learned without it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit
from sklearn.linear_model import Ridge

from trueline.config import RewardConfig, TransformerConfig
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating, split_of
from trueline.reward import dual
from trueline.reward.influence import influence
from trueline.reward.labels import preference_pairs, rating_targets
from trueline.reward.registry import load_reward, new_reward

SMALL = {"max_features": 300, "relations": 2, "features": ("words", "style")}
KINDS = {"linear": {}, "svm": {"kind": "svm"}, "rbf": {"kind": "svm", "kernel": "rbf"}}
CASES = [(kind, learn_from, 1) for kind in KINDS for learn_from in ("ratings", "comparisons")]
PERSON = Annotator("Anna")


def fit(snapshot, dimensions=("quality", "safety"), **settings):
    model = new_reward(RewardConfig(**{**SMALL, **settings}), dimensions)
    model.fit(snapshot)
    return model


def added(model, exchange, i):
    """What stands between the average answer and this one's score."""
    found = model.explain(exchange)
    return model.score([exchange]).values[0, i] - found.base[i] - found.parts[i].get("length control", 0.0)


@pytest.fixture(scope="module")
def asked(planted):
    s = planted(4, seed=7)
    return [s.exchange(i) for i in s.completions]


@pytest.mark.parametrize(
    ("kind", "learn_from", "members"), [*CASES, ("linear", "ratings", 3), ("svm", "comparisons", 2)]
)
def test_the_labels_shares_sum_to_the_score(planted, asked, kind, learn_from, members):
    s = planted(30)
    model = fit(s, learn_from=learn_from, members=members, **KINDS[kind])
    told = influence(model, s)
    # The solvers of svm leave more of the way to the bottom.
    close = 1e-5 if (kind, learn_from) == ("linear", "ratings") else 2e-3 if kind == "linear" else 0.03
    for exchange in asked[:2]:
        for i, (dimension, found) in enumerate(told.of(exchange, 4).items()):
            assert found.adds == pytest.approx(added(model, exchange, i), abs=close)
            assert dimension == model.dimensions[i] and len(found.most) == 4
            if learn_from == "ratings":
                assert found.count == len([j for j in s.completions if split_of(s.exchange(j).prompt) != "test"])


def test_with_length_control_too(planted, asked):
    s = planted(40)
    model = fit(s, length_control=True)
    found = influence(model, s).of(asked[0], 1)["safety"]
    assert found.adds == pytest.approx(added(model, asked[0], 1), abs=1e-5)


def rows_of(model, snapshot, dimension):
    """The labelled rows, their targets and weights, as anybody would write them down: x, y, weights."""
    known = snapshot.of_prompts({i for i, p in snapshot.prompts.items() if split_of(p) != "test"})
    matrix = model.fitted().features.matrix
    if model.config.learn_from == "ratings":
        found = rating_targets(known, dimension)
        return matrix([known.exchange(i) for i in found.ids]).toarray(), found.values, found.weights, found.ids
    found = preference_pairs(known, dimension)
    a, b = (matrix([known.exchange(i) for i in side]).toarray() for side in (found.a, found.b))
    return b - a, found.sign, found.weights, list(zip(found.a, found.b, strict=True))


def solved(x, y, weights, penalty, kind):
    """Weights, by libraries that know nothing of ours."""
    if kind == "ridge":
        return Ridge(alpha=penalty, solver="cholesky").fit(x, y, sample_weight=weights).coef_

    def loss(w):
        z = x @ w
        slope = x.T @ (-weights * y * np.exp(log_expit(-y * z))) + penalty * w
        return -weights @ log_expit(y * z) + penalty / 2 * w @ w, slope

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).x


def noisy(s):
    """Three labels of ten the other way round, as people disagree; else hardly any penalty is the best."""
    rng = np.random.default_rng(5)
    ratings = [replace(r, value=6 - r.value) if rng.random() < 0.3 else r for r in s.ratings]
    comparisons = [replace(c, preference=-c.preference) if rng.random() < 0.3 else c for c in s.comparisons]
    return FeedbackSnapshot(s.prompts, s.completions, ratings, comparisons)


def key(moved):
    one = moved.said[0]
    return one.completion_id if isinstance(one, Rating) else (one.a_id, one.b_id)


@pytest.mark.parametrize("direct", [True, False], ids=["factored", "by steps"])
@pytest.mark.parametrize(("learn_from", "kind", "close"), [("ratings", "ridge", 1e-4), ("comparisons", "logit", 0.03)])
def test_a_label_moved_what_the_score_loses_when_it_is_learned_without(
    planted, asked, monkeypatch, learn_from, kind, close, direct
):
    """For ridge exactly; for Bradley-Terry one Newton step comes within three hundredths of it."""
    if not direct:
        monkeypatch.setattr(dual, "DIRECT", 0)
    s = noisy(planted(50))
    model = fit(s, ("quality",), learn_from=learn_from)
    x, y, weights, keys = rows_of(model, s, "quality")
    penalty, fitted = model.report_["penalties"]["quality"], model.fitted()
    way = fitted.features.matrix(asked[:1]).toarray()[0] - fitted.mean
    whole = solved(x, y, weights, penalty, kind) @ way
    found = influence(model, s).of(asked[0], 6)["quality"].most
    truth = {}
    for i, each in enumerate(keys):
        rest = np.arange(len(y)) != i
        truth[each] = (whole - solved(x[rest], y[rest], weights[rest], penalty, kind) @ way) / fitted.scale.spread[0]
    largest = sorted(truth, key=lambda k: -abs(truth[k]))
    for moved in found:
        assert moved.moves == pytest.approx(truth[key(moved)], rel=close, abs=1e-6)
        assert moved.raises == (truth[key(moved)] > 0)
    assert key(found[0]) == largest[0] and len({key(m) for m in found} & set(largest[:6])) >= 5


def test_of_an_ensemble_the_mean_and_labels_that_were_not_drawn_moved_nothing(planted, asked):
    s = planted(40)
    model = fit(s, ("quality",), members=3)
    k = 10_000
    found = {key(m): m for m in influence(model, s).of(asked[0], k)["quality"].most}
    from trueline.reward.ensemble import resampled
    from trueline.reward.influence import LinearInfluence

    alone = []
    for i, member in enumerate(model.members):
        drawn = resampled(s, i)
        alone.append({key(m): m for m in LinearInfluence.of_members([member], drawn).of(asked[0], k)["quality"].most})
    assert len(alone[0]) > len(alone[1])
    for name, moved in found.items():
        each = [a[name] for a in alone if name in a]
        assert moved.moves == pytest.approx(sum(m.moves for m in each) / 3, abs=1e-9)
        assert moved.adds == pytest.approx(sum(m.adds for m in each) / 3, abs=1e-9)


@pytest.fixture(scope="module")
def one_teacher():
    """Everybody judges by "clear" and "vague". Of two answers with "zebra" Zoe hated one; the other, without which the
    word would be unknown, was judged for safety alone.
    """
    rng = np.random.default_rng(3)
    exchanges, ratings, comparisons = [], [], []
    for i in range(80):
        prompt, who = Prompt.from_user(f"question {i}", {"split": "train"}), Annotator("Zoe") if i == 40 else PERSON
        dimensions = ("safety",) if i == 41 else ("quality", "safety")
        for word in ("clear", "vague"):
            text = " ".join([*rng.choice(["order", "parcel", "today", "we", "you", "soon", "here"], 7), word])
            zebra = i in (40, 41) and word == "clear"
            exchanges.append(Exchange.of(prompt, text + (" zebra" if zebra else "")))
            mark = 1 if zebra else 5 if word == "clear" else 2
            ratings += [Rating(exchanges[-1].completion.id, d, mark, who) for d in dimensions]
        pair = [e.completion.id for e in exchanges[-2:]]
        comparisons += [Comparison(*pair, d, 3 if i in (40, 41) else -3, who) for d in dimensions]
    prompts = {e.prompt.id: e.prompt for e in exchanges}
    return FeedbackSnapshot(prompts, {e.completion.id: e.completion for e in exchanges}, ratings, comparisons)


@pytest.mark.parametrize(
    ("kind", "learn_from", "members"),
    [("linear", "ratings", 3), ("linear", "comparisons", 1), ("svm", "ratings", 1), ("svm", "comparisons", 1)],
)
def test_the_label_that_alone_taught_a_word_is_named_first(one_teacher, kind, learn_from, members):
    model = fit(one_teacher, kind=kind, learn_from=learn_from, members=members, features=("words",))
    found = influence(model, one_teacher).of(Exchange.of(Prompt.from_user("question 900"), "the zebra is here"), 2)
    first = found["quality"].most[0]
    assert first.said[0].annotator.name == "Zoe" and not first.raises and first.moves < 0


def test_labels_that_the_model_was_not_learned_from_are_refused(planted):
    model = fit(planted(40), ("quality",))
    with pytest.raises(InputError, match="not those that the reward model was learned from"):
        influence(model, planted(40, seed=1))


def test_a_loaded_model_says_the_same(planted, asked, tmp_path):
    s = planted(40)
    model = fit(s, ("quality",), members=2)
    model.save(tmp_path / "m")
    assert influence(load_reward(tmp_path / "m"), s).of(asked[0], 3) == influence(model, s).of(asked[0], 3)


@pytest.fixture(scope="module")
def neural(tmp_path_factory, planted):
    """A tiny transformer that learned for an instant, and what it learned from."""
    import torch
    from transformers import BertConfig, BertModel

    from trueline.policy.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("bert")
    s = planted(40)
    tokenizer = train_tokenizer([c.text for c in s.completions.values()], 300, chat=False)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=96, **size)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = TransformerConfig(model=str(folder), epochs=1, max_tokens=64)
    return fit(s, ("quality",), kind="transformer", learn_from="either", transformer=settings), s


def test_of_a_neural_kind_the_nearest_judged_answers_are_named(neural, tmp_path):
    model, s = neural
    cache = tmp_path / "m.nearest.safetensors"
    learned = s.split("train")
    exchange = learned.exchange(next(iter(learned.completions)))
    found = influence(model, s, cache).of(exchange, 4)["quality"]
    assert found.adds is None and found.count == len(
        {r.completion_id for r in learned.ratings if r.dimension == "quality"}
    ) + len([c for c in learned.comparisons if c.dimension == "quality" and c.preference])
    first = found.most[0]
    assert first.likeness == pytest.approx(1.0, abs=1e-5) and first.moves is None
    assert {r.completion_id for r in first.said} == {exchange.completion.id}
    likeness = [m.likeness for m in found.most]
    assert likeness == sorted(likeness, reverse=True)
    marks = [r.value for r in learned.ratings if r.dimension == "quality"]
    assert first.raises == (first.said[0].value > np.mean(marks))


def test_the_vectors_are_worked_out_once_and_again_for_another_model(neural, tmp_path, monkeypatch):
    from trueline.reward import nearest

    model, s = neural
    cache, e = tmp_path / "m.nearest.safetensors", s.exchange(next(iter(s.completions)))
    before = influence(model, s, cache).of(e, 3)
    asked, true = [], nearest.embedded
    monkeypatch.setattr(nearest, "embedded", lambda m, each: asked.append(len(each)) or true(m, each))
    assert influence(model, s, cache).of(e, 3) == before and asked == [1]
    model.report_["seconds"] += 1
    influence(model, s, cache)
    assert asked[-1] > 1
    cache.write_bytes(cache.read_bytes()[:-5])
    influence(model, s, cache)
    assert len([n for n in asked if n > 1]) == 2
