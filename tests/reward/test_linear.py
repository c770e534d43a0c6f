"""What every reward model must do, and what the linear one must learn."""

import json
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits

from trueline.config import RewardConfig
from trueline.errors import InputError, RunError
from trueline.feedback.importing import import_file
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating, split_of
from trueline.reward.linear import LinearReward, telling
from trueline.reward.registry import load_reward
from trueline.reward.text import words

DIMENSIONS = ("quality", "safety", "consistency")
KINDS = {"linear": {}, "svm": {"kind": "svm"}, "rbf": {"kind": "svm", "kernel": "rbf"}}
CASES = [(kind, learn_from) for kind in KINDS for learn_from in ("ratings", "comparisons")]
each_case = pytest.mark.parametrize(("kind", "learn_from"), CASES)
PLAIN = ("words", "style", "relations", "interactions")


def make(kind="linear", learn_from="ratings", dimensions=DIMENSIONS, **settings):
    base = {"learn_from": learn_from, "max_features": 300, "relations": 2, "features": PLAIN}
    return LinearReward(RewardConfig(**{**base, **KINDS[kind], **settings}), dimensions)


@pytest.fixture(scope="module")
def fitted(planted):
    """fitted(kind, learn_from): a model of the planted snapshot, made once; not to be changed."""
    made = {}

    def get(kind, learn_from):
        if (kind, learn_from) not in made:
            model = make(kind, learn_from)
            model.fit(planted())
            made[kind, learn_from] = model
        return made[kind, learn_from]

    return get


def everything(snapshot):
    return [snapshot.exchange(i) for i in snapshot.completions]


def learned_from(snapshot):
    return [e for e in everything(snapshot) if split_of(e.prompt) != "test"]


@each_case
def test_saved_and_loaded_scores_identically(tmp_path, planted, fitted, kind, learn_from):
    model, exchanges = fitted(kind, learn_from), everything(planted(20, seed=5))
    model.save(tmp_path / "m")
    for loaded in (load_reward(tmp_path / "m"), LinearReward.load(tmp_path / "m")):
        assert np.array_equal(loaded.score(exchanges).values, model.score(exchanges).values)
        assert loaded.dimensions == model.dimensions == loaded.score(exchanges).dimensions
        assert loaded.explain(exchanges[0]) == model.explain(exchanges[0])
        assert np.array_equal(loaded.temperature, model.temperature) and np.isfinite(model.temperature).all()
    loaded.save(tmp_path / "again")
    assert np.array_equal(load_reward(tmp_path / "again").score(exchanges).values, model.score(exchanges).values)


@each_case
def test_order_and_size_of_the_batch_do_not_matter(planted, fitted, kind, learn_from):
    model, exchanges = fitted(kind, learn_from), everything(planted(20, seed=5))
    whole = model.score(exchanges).values
    assert whole.shape == (60, 3) and whole.dtype == np.float64
    assert np.array_equal(model.score(exchanges[::-1]).values[::-1], whole)
    assert np.array_equal(np.concatenate([model.score([e]).values for e in exchanges]), whole)
    assert model.score([]).values.shape == (0, 3)


@each_case
def test_a_refit_forgets_the_first_fit(planted, fitted, kind, learn_from):
    model, exchanges = make(kind, learn_from), everything(planted(20, seed=5))
    model.fit(planted(40, seed=9, sign=-1))
    before = model.score(exchanges).values
    model.fit(planted())
    assert np.array_equal(model.score(exchanges).values, fitted(kind, learn_from).score(exchanges).values)
    assert not np.allclose(before, model.score(exchanges).values, atol=0.1)


@each_case
def test_the_same_labels_give_the_same_model_in_any_order(planted, fitted, kind, learn_from):
    s = planted()
    turned = FeedbackSnapshot(
        dict(reversed(s.prompts.items())), dict(reversed(s.completions.items())), s.ratings[::-1], s.comparisons[::-1]
    )
    model = make(kind, learn_from)
    model.fit(turned)
    exchanges = everything(s)
    assert np.array_equal(model.score(exchanges).values, fitted(kind, learn_from).score(exchanges).values)


@each_case
def test_the_number_of_threads_changes_no_weights(planted, kind, learn_from):
    found = []
    for threads in (1, 2):
        model = make(kind, learn_from, ("quality",))
        with threadpool_limits(threads, "blas"):
            model.fit(planted())
        found.append(model.score(everything(planted(10, seed=5))).values)
    assert np.array_equal(*found)


@each_case
def test_explanations_sum_to_the_score(planted, fitted, kind, learn_from):
    model, exchanges = fitted(kind, learn_from), everything(planted(10, seed=5))
    for e in [*exchanges, Exchange.of(Prompt.from_user(""), "")]:
        attribution, scores = model.explain(e), model.score([e]).values[0]
        assert attribution.dimensions == DIMENSIONS
        for base, parts, score in zip(attribution.base, attribution.parts, scores, strict=True):
            assert abs(base + sum(parts.values()) - score) < (1e-3 if kind == "rbf" else 1e-9)


@each_case
def test_an_explanation_names_the_planted_words(fitted, kind, learn_from):
    model = fitted(kind, learn_from)
    parts = model.explain(Exchange.of(Prompt.from_user("question"), "we clear it gentle today wrong")).parts
    said = [{name: found.get(name, 0.0) for name in words("we clear it gentle today wrong")} for found in parts]
    assert max(said[0], key=said[0].get) == "clear"
    assert max(said[1], key=said[1].get) == "gentle"
    assert min(said[2], key=said[2].get) == "wrong"


@each_case
def test_scores_have_mean_0_and_deviation_1_over_the_training_answers(planted, fitted, kind, learn_from):
    values = fitted(kind, learn_from).score(learned_from(planted())).values
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-9)


@each_case
def test_learns_a_planted_signal(planted, fitted, kind, learn_from):
    """On prompts and answers never seen, in each dimension its own; turned labels turn the score."""
    unseen = planted(30, seed=7)
    mean = {(r.completion_id, r.dimension): r.value for r in unseen.ratings}
    turned = make(kind, learn_from)
    turned.fit(planted(sign=-1))
    for k, d in enumerate(DIMENSIONS):
        truth = [mean[i, d] for i in unseen.completions]
        for model, sign in ((fitted(kind, learn_from), 1), (turned, -1)):
            scores = model.score(everything(unseen)).values
            own = sign * np.corrcoef(truth, scores[:, k])[0, 1]
            others = [np.corrcoef(truth, scores[:, j])[0, 1] for j in range(3) if j != k]
            assert own > 0.75 and np.abs(others).max() < 0.4


@each_case
def test_the_report_counts_held_out_pairs(planted, kind, learn_from):
    snapshot = planted()
    model = make(kind, learn_from)
    report = model.fit(snapshot)
    assert report.snapshot_sha256 == snapshot.sha256
    test = snapshot.split("test")
    for k, d in enumerate(DIMENSIONS):
        right = []
        for c in (c for c in test.comparisons if c.dimension == d and c.preference):
            a, b = model.score([test.exchange(c.a_id), test.exchange(c.b_id)]).values[:, k]
            right.append((b > a) == (c.preference > 0))
        fit = report.dimensions[d]
        assert (fit.accuracy, fit.n_pairs) == (np.mean(right), len(right))
        assert fit.accuracy > 0.75 and fit.pearson > 0.6


@each_case
def test_test_prompts_change_no_weights(planted, fitted, kind, learn_from):
    """Their labels turned round, or taken away: the scores stay to the last bit, only the report changes."""
    s = planted()

    def is_test(completion_id):
        return split_of(s.exchange(completion_id).prompt) == "test"

    turned = replace(
        s,
        ratings=tuple(replace(r, value=6 - r.value) if is_test(r.completion_id) else r for r in s.ratings),
        comparisons=tuple(replace(c, preference=-c.preference) if is_test(c.a_id) else c for c in s.comparisons),
    )
    without = replace(
        s,
        ratings=tuple(r for r in s.ratings if not is_test(r.completion_id)),
        comparisons=tuple(c for c in s.comparisons if not is_test(c.a_id)),
    )
    expected = fitted(kind, learn_from).score(everything(s)).values
    accuracies = []
    for changed in (turned, without):
        model = make(kind, learn_from)
        accuracies.append(model.fit(changed).dimensions["quality"].accuracy)
        assert np.array_equal(model.score(everything(s)).values, expected)
    assert accuracies[0] < 0.15 and accuracies[1] is None


@each_case
def test_missing_labels_name_the_dimension(planted, kind, learn_from):
    s = planted(20)
    without = replace(
        s,
        ratings=tuple(r for r in s.ratings if r.dimension != "safety"),
        comparisons=tuple(c for c in s.comparisons if c.dimension != "safety"),
    )
    not_applicable = replace(
        s,
        ratings=tuple(replace(r, value=None) if r.dimension == "safety" else r for r in s.ratings),
        comparisons=tuple(replace(c, preference=0) if c.dimension == "safety" else c for c in s.comparisons),
    )
    for snapshot in (without, not_applicable):
        with pytest.raises(InputError) as caught:
            make(kind, learn_from).fit(snapshot)
        assert "safety" in str(caught.value) and "\n" not in str(caught.value)
        assert make(kind, learn_from, ("quality",)).fit(snapshot).dimensions.keys() == {"quality"}


@each_case
@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_a_handful_of_labels_gives_a_model_or_one_line(kind, learn_from, n):
    person = Annotator("Anna")
    exchanges = [tuple(Exchange.of(Prompt.from_user(f"q{i}"), text) for text in ("yes", "no")) for i in range(n)]
    flat = [e for pair in exchanges for e in pair]
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in flat},
        {e.completion.id: e.completion for e in flat},
        tuple(Rating(e.completion.id, "quality", 3, person) for e in flat),
        tuple(Comparison(a.completion.id, b.completion.id, "quality", -2, person) for a, b in exchanges),
    )
    model = make(kind, learn_from, ("quality",))
    try:
        model.fit(s)
    except InputError:
        return
    assert np.isfinite(model.score(flat).values).all()
    model.explain(flat[0])


def test_a_model_that_was_not_fitted_says_so(tmp_path):
    nothing = Exchange.of(Prompt(()), "")
    for use in (lambda m: m.score([nothing]), lambda m: m.save(tmp_path / "m"), lambda m: m.explain(nothing)):
        with pytest.raises(RunError, match="not been fitted"):
            use(make())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(tmp_path, fitted):
    fitted("linear", "ratings").save(tmp_path / "model")
    return tmp_path / "model"


def refused(folder):
    """Both ways to load a folder give one line that names it."""
    for load in (load_reward, LinearReward.load):
        with pytest.raises(InputError) as caught:
            load(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_cut_or_missing_is_refused(tmp_path, saved):
    refused(tmp_path / "nowhere")
    for path in sorted(saved.iterdir()):
        data = path.read_bytes()
        for broken in (data[: len(data) // 2], b""):
            path.write_bytes(broken)
            refused(saved)
        path.unlink()
        refused(saved)
        path.write_bytes(data)
    load_reward(saved)


def change(saved, **fields):
    head = json.loads((saved / "model.json").read_text())
    (saved / "model.json").write_text(json.dumps({**head, **fields}))


@pytest.mark.parametrize("kind", ["policy", "../../evil", ["linear"], None, 3])
def test_another_kind_of_model_is_refused(saved, kind):
    change(saved, kind=kind)
    refused(saved)


@pytest.mark.parametrize(
    "fields",
    [
        {"config": {"max_features": -1, "unknown": 1}},
        {"config": []},
        {"dimensions": ["quality"]},
        {"dimensions": 3},
    ],
)
def test_a_head_that_does_not_fit_the_weights_is_refused(saved, fields):
    change(saved, **fields)
    with pytest.raises(InputError) as caught:
        load_reward(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", '"linear"', "null", "{}"])
def test_a_head_of_another_shape_is_refused(saved, text):
    (saved / "model.json").write_text(text)
    refused(saved)


def test_parts_of_two_models_are_refused(tmp_path, planted, saved):
    other = make()
    other.fit(planted(25, seed=3))
    other.save(tmp_path / "other")
    for name in ("weights.safetensors", "features.safetensors"):
        whole = (saved / name).read_bytes()
        shutil.copy(tmp_path / "other" / name, saved / name)
        refused(saved)
        (saved / name).write_bytes(whole)


class Payload:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch '{self.target}'",)


def test_a_pickle_is_refused_and_never_run(tmp_path, saved):
    for name in ("weights.safetensors", "features.safetensors", "model.json", "features.json"):
        whole = (saved / name).read_bytes()
        (saved / name).write_bytes(pickle.dumps(Payload(tmp_path / "owned")))
        refused(saved)
        (saved / name).write_bytes(whole)
    assert not (tmp_path / "owned").exists()


def test_a_save_that_fails_leaves_the_old_model(saved, planted, fitted, monkeypatch):
    exchanges = everything(planted(5, seed=5))
    expected = load_reward(saved).score(exchanges).values

    def fails(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trueline.reward.linear.save_file", fails)
    with pytest.raises(OSError):
        fitted("linear", "comparisons").save(saved)
    assert np.array_equal(load_reward(saved).score(exchanges).values, expected)


def test_a_score_that_is_no_number_names_the_text(saved):
    model = load_reward(saved)
    model.learned_.coef[0, model.learned_.features.names.index("cruel")] = np.nan
    with pytest.raises(RunError, match="'it was cruel'") as caught:
        model.score([Exchange.of(Prompt.from_user("q"), text) for text in ("fine", "it was cruel")])
    assert "fine" not in str(caught.value)


def test_weights_that_were_changed_are_refused(saved):
    arrays = load_file(saved / "weights.safetensors")
    arrays["coef"][0, 0] += 1
    save_file(arrays, saved / "weights.safetensors")
    assert "changed" in refused(saved)


@pytest.mark.parametrize("version", [None, 1, 99, "2"])
def test_a_model_of_another_version_says_to_fit_again(saved, version):
    change(saved, version=version)
    message = refused(saved)
    assert "another version" in message and "fit it with" in message


@pytest.mark.parametrize("fields", [{"kind": "svm"}, {"config": {"kind": "svm"}}])
def test_a_kind_that_its_settings_do_not_have_is_refused(saved, fields):
    change(saved, **fields)
    refused(saved)


def test_too_little_to_learn_from_is_one_line(planted):
    s = planted(20)
    flat = replace(s, ratings=tuple(replace(r, value=4) for r in s.ratings))
    with pytest.raises(InputError, match="all ratings of quality say the same") as caught:
        make().fit(flat)
    assert "\n" not in str(caught.value)
    tied = replace(s, comparisons=tuple(replace(c, preference=0) for c in s.comparisons))
    with pytest.raises(InputError, match=r"no comparisons to learn quality from .all are ties."):
        make("svm", "comparisons").fit(tied)
    few = {c.prompt_id for c in list(s.split("train").completions.values())[:6]}
    assert len(few) >= 2
    few = set(sorted(few)[:2])
    kept = tuple(r for r in s.ratings if s.completions[r.completion_id].prompt_id in few)
    with pytest.raises(InputError, match="on 2 prompts where 4 prompts are needed"):
        make().fit(replace(s, ratings=kept))


def test_a_feature_that_is_no_number_is_refused(planted, monkeypatch):
    def broken(name, texts):
        return np.full((len(texts), 2), np.nan, dtype=np.float32)

    monkeypatch.setattr("trueline.reward.features.embeddings", broken)
    with pytest.raises(InputError, match="is not a number") as caught:
        make(features=("words", "embedding"), embedding="any").fit(planted(20))
    assert "\n" not in str(caught.value)


def test_the_embedding_block_needs_an_encoder(planted):
    with pytest.raises(InputError, match=r"reward\.embedding names no encoder"):
        make(features=("words", "embedding")).fit(planted(20))


@each_case
def test_an_empty_answer_has_a_score(fitted, kind, learn_from):
    empty = [Exchange.of(Prompt.from_user(q), t) for q, t in (("", ""), ("q", " \n"), ("q", "\ud800"))]
    assert np.isfinite(fitted(kind, learn_from).score(empty).values).all()


@pytest.mark.parametrize("learn_from", ["ratings", "comparisons"])
@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_planted_words_tell_most(fitted, kind, learn_from):
    told = telling(fitted(kind, learn_from), 2)
    good = {"quality": "clear", "safety": "gentle", "consistency": "exact"}
    bad = {"quality": "vague", "safety": "cruel", "consistency": "wrong"}
    for d in DIMENSIONS:
        raises, lowers = told[d]
        assert (raises[0].name, lowers[0].name) == (good[d], bad[d])
        assert raises[0].effect >= raises[-1].effect > 0 > lowers[-1].effect >= lowers[0].effect
        assert raises[0].weight > 0 > lowers[0].weight


def test_an_effect_is_the_weight_times_the_spread(planted, fitted):
    """The score of one more standard deviation of a column, from the score itself: rows differ in that alone."""
    model = fitted("linear", "ratings")
    x = model.learned_.features.matrix(learned_from(planted())).toarray()
    [told] = telling(model, 1)["safety"][0]
    column = model.learned_.features.names.index(told.name)
    assert told.effect == pytest.approx(told.weight * x[:, column].std())
    lifted = x.mean(0)
    lifted[column] += x[:, column].std()
    coef = model.learned_.coef[1] / model.learned_.scale.spread[1]
    assert told.effect == pytest.approx(coef @ lifted - coef @ x.mean(0))


def test_chinese_is_shown_as_it_is(tmp_path):
    person, rng = Annotator("Anna"), np.random.default_rng(0)
    exchanges, ratings = [], []
    for i in range(60):
        for good in (True, False):
            filler = "".join(rng.choice(list("我们订单今天已经的了在"), 8))
            e = Exchange.of(Prompt.from_user(f"问题{i}"), filler + ("退款" if good else "滚开") + str(rng.integers(9)))
            exchanges.append(e)
            ratings.append(Rating(e.completion.id, "quality", 5 if good else 1, person))
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        (),
    )
    model = make(dimensions=("quality",), features=("characters",))
    assert model.fit(s).dimensions["quality"].accuracy == 1
    raises, lowers = telling(model, 1)["quality"]
    assert raises[0].name == "characters: 退款" and lowers[0].name == "characters: 滚开"
    model.save(tmp_path / "m")
    assert "退款" in (tmp_path / "m" / "features.json").read_text("utf-8")
    assert telling(load_reward(tmp_path / "m"), 1) == telling(model, 1)


def test_features_are_chosen_where_none_are_named(planted):
    """Answers of one prompt are told apart by what the prompt asks for only through the blocks that see the prompt."""
    model = make(features=())
    model.fit(planted())
    found = model.report_["errors_of_features"]
    assert len(found) == 4 and all(0 < e < 1 for e in found.values())
    assert " + ".join(model.report_["features"]) in {" + ".join(sorted_blocks(k)) for k in found}
    named = make(features=("words",))
    named.fit(planted())
    assert named.report_["errors_of_features"] == {} and named.learned_.features.blocks == ("words",)
    assert set(named.report_["penalties"]) == set(DIMENSIONS)


def sorted_blocks(name):
    return name.split(" + ")


def test_the_prompt_is_a_feature_where_it_decides_the_ratings():
    """Half of the requests get good ratings whatever is answered: only the prompt block can know."""
    person, rng = Annotator("Anna"), np.random.default_rng(0)
    exchanges, ratings = [], []
    for i in range(200):
        kind = "easy" if i % 2 else "hard"
        words_ = rng.choice("order parcel today tomorrow kettle lamp".split(), 4)
        for j in range(2):
            e = Exchange.of(Prompt.from_user(f"{kind} {' '.join(words_)} {i}"), f"answer {rng.integers(99)} {j}")
            exchanges.append(e)
            ratings.append(
                Rating(e.completion.id, "quality", int(np.clip(rng.integers(2) + 4 * (i % 2), 1, 5)), person)
            )
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        (),
    )
    model = LinearReward(RewardConfig(relations=0), ("quality",))
    fit = model.fit(s).dimensions["quality"]
    assert "prompt" in model.report_["features"] and fit.pearson > 0.8


@each_case
def test_the_temperature_gives_the_chance_of_a_preference(kind, learn_from):
    """People prefer by chance, with P = sigmoid(2 (good words of b - of a)): the model's probabilities must be near."""
    rng, person = np.random.default_rng(3), Annotator("Anna")
    exchanges, ratings, comparisons, truth = [], [], [], {}
    for i in range(1500):
        pair = []
        for _ in range(2):
            good = int(rng.integers(0, 3))
            text = " ".join(
                rng.permutation(["clear"] * good + list(rng.choice("the a of we you it is was".split(), 6)))
            )
            e = Exchange.of(Prompt.from_user(f"q{i}"), f"{text} n{len(exchanges)}")
            truth[e.completion.id] = good
            pair.append(e)
            ratings.append(
                Rating(e.completion.id, "quality", int(np.clip(2 + good + rng.integers(-1, 2), 1, 5)), person)
            )
        exchanges += pair
        ids = [e.completion.id for e in pair]
        p = 1 / (1 + np.exp(-1.0 * (truth[ids[1]] - truth[ids[0]])))
        comparisons.append(Comparison(*ids, "quality", 1 if rng.random() < p else -1, person))
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )
    model = make(kind, learn_from, ("quality",), features=("words",))
    model.fit(s)
    scores = {e.completion.id: v for e, v in zip(exchanges, model.score(exchanges).values[:, 0], strict=True)}
    found, expected = [], []
    for c in comparisons:
        found.append(1 / (1 + np.exp(-(scores[c.b_id] - scores[c.a_id]) / model.temperature[0])))
        expected.append(1 / (1 + np.exp(-1.0 * (truth[c.b_id] - truth[c.a_id]))))
    assert np.abs(np.array(found) - np.array(expected)).mean() < 0.08


def drawn_pairs(n, seed, split):
    """n pairs of 20 words out of 300, and P(b preferred) of each, a sigmoid of the words' weights."""
    weights = np.random.default_rng(11).normal(0, 0.5, 300)
    rng, person = np.random.default_rng([12, seed]), Annotator("Anna")
    said = rng.integers(0, 300, (n, 2, 20))
    chance = 1 / (1 + np.exp(weights[said[:, 0]].sum(1) - weights[said[:, 1]].sum(1)))
    exchanges, comparisons = [], []
    for i, (pair, b_wins) in enumerate(zip(said, rng.random(n) < chance, strict=True)):
        prompt = Prompt.from_user(f"q{i} {split}", {"split": split})
        a, b = (Exchange.of(prompt, " ".join(f"w{chr(97 + j % 26)}{chr(97 + j // 26)}" for j in row)) for row in pair)
        exchanges += [a, b]
        comparisons.append(Comparison(a.completion.id, b.completion.id, "quality", 1 if b_wins else -1, person))
    s = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        (),
        tuple(comparisons),
    )
    return s, exchanges, chance


@pytest.mark.parametrize("few", [300, 10_000])
@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_probabilities_hold_also_where_a_part_of_the_labels_chose_the_penalty(monkeypatch, kind, few):
    """3,000 labels teach far more than 300: margins of models of 300 would give a temperature much too high."""
    monkeypatch.setattr("trueline.reward.linear.PENALTY_LABELS", few)
    model = make(kind, "comparisons", ("quality",), features=("words",))
    model.fit(drawn_pairs(3000, 1, "train")[0])
    _, exchanges, chance = drawn_pairs(4000, 2, "test")
    margins = np.diff(model.score(exchanges).values[:, 0].reshape(-1, 2))[:, 0]
    found = 1 / (1 + np.exp(-margins / model.temperature[0]))
    bins = np.minimum((found * 10).astype(int), 9)
    gaps = [abs((found - chance)[bins == b].sum()) for b in range(10)]
    assert sum(gaps) / len(found) < 0.05


def test_the_prompt_is_no_candidate_where_answers_are_only_compared(planted):
    for learn_from, expected in (("comparisons", False), ("ratings", True)):
        model = make(learn_from=learn_from, dimensions=("quality",), features=())
        model.fit(planted(30))
        assert any("prompt" in sorted_blocks(k) for k in model.report_["errors_of_features"]) is expected


def real(tmp_path, name, path, dimension="safety"):
    """Held-out pair accuracy on a real set, counted here from the model's own scores."""
    with FeedbackStore.open(tmp_path / "f.db") as store:
        import_file(store, name, path, (dimension,))
        snapshot = store.snapshot()
    model = LinearReward(RewardConfig(learn_from="comparisons"), (dimension,))
    report = model.fit(snapshot)
    test = snapshot.split("test")
    a, b = ([test.exchange(getattr(c, side)) for c in test.comparisons] for side in ("a_id", "b_id"))
    better_b = np.array([c.preference > 0 for c in test.comparisons])
    right = (model.score(b).values > model.score(a).values)[:, 0] == better_b
    assert report.dimensions[dimension].accuracy == pytest.approx(right.mean())
    print(f"\n{name}: accuracy {right.mean():.3f} on {len(right)} held-out pairs, fitted in {report.seconds:.1f} s")
    return right.mean()


@pytest.mark.slow
def test_pku_saferlhf_held_out_pairs(tmp_path, shared_data):
    assert real(tmp_path, "pku_saferlhf", shared_data("pku_saferlhf/saferlhf_5k.json")) > 0.65


@pytest.mark.slow
def test_hh_harmless_held_out_pairs(tmp_path, shared_data):
    assert real(tmp_path, "hh_harmless", shared_data("hh_harmless/harmless-base.jsonl")) > 0.55


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.long)])
def test_helpdesk_held_out_ratings(tmp_path, shared_data, language):
    """Pearson r with the mean of 19 people, from the last answer alone: they rated the whole dialogue, and words of
    the whole dialogue reach 0.68."""
    with FeedbackStore.open(tmp_path / "f.db") as store:
        import_file(store, "helpdesk", shared_data(f"helpdesk/helpdesk_{language}.jsonl"), ("quality",))
        snapshot = store.snapshot()
    fit = LinearReward(RewardConfig(), ("quality",)).fit(snapshot).dimensions["quality"]
    print(f"\nhelpdesk_{language}: Pearson r {fit.pearson:.3f}, {fit.n_train} answers learned from")
    assert fit.pearson > 0.3
