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
from trueline.reward.linear import LinearReward
from trueline.reward.registry import REWARDS, load_reward
from trueline.reward.text import words

DIMENSIONS = ("quality", "safety", "consistency")
CASES = [(kind, learn_from) for kind in sorted(REWARDS) for learn_from in ("ratings", "comparisons")]
each_case = pytest.mark.parametrize(("kind", "learn_from"), CASES)


def make(kind="linear", learn_from="ratings", dimensions=DIMENSIONS):
    return REWARDS[kind](RewardConfig(learn_from=learn_from, max_features=300, relations=2), dimensions)


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
    for loaded in (load_reward(tmp_path / "m"), REWARDS[kind].load(tmp_path / "m")):
        assert np.array_equal(loaded.score(exchanges).values, model.score(exchanges).values)
        assert loaded.dimensions == model.dimensions == loaded.score(exchanges).dimensions
        assert loaded.explain(exchanges[0]) == model.explain(exchanges[0])
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
            assert abs(base + sum(parts.values()) - score) < 1e-9


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


def test_a_score_that_is_no_number_names_the_text(saved, planted):
    arrays = load_file(saved / "weights.safetensors")
    features = json.loads((saved / "features.json").read_text())
    arrays["coef"][0, features["answers"].index("cruel")] = np.nan
    save_file(arrays, saved / "weights.safetensors")
    with pytest.raises(RunError, match="'it was cruel'") as caught:
        load_reward(saved).score([Exchange.of(Prompt.from_user("q"), text) for text in ("fine", "it was cruel")])
    assert "fine" not in str(caught.value)


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
@pytest.mark.parametrize("language", ["en", "zh"])
def test_helpdesk_held_out_ratings(tmp_path, shared_data, language):
    """Pearson r with the mean of 19 people, from the last answer alone: they rated the whole dialogue, and words of
    the whole dialogue reach 0.68."""
    with FeedbackStore.open(tmp_path / "f.db") as store:
        import_file(store, "helpdesk", shared_data(f"helpdesk/helpdesk_{language}.jsonl"), ("quality",))
        snapshot = store.snapshot()
    fit = LinearReward(RewardConfig(), ("quality",)).fit(snapshot).dimensions["quality"]
    print(f"\nhelpdesk_{language}: Pearson r {fit.pearson:.3f}, {fit.n_train} answers learned from")
    assert fit.pearson > 0.3
