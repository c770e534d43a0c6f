"""The radial kernel against its definition, and on data that no line divides."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel

from trueline.config import RewardConfig
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Exchange, Prompt, Rating
from trueline.reward.design import Design
from trueline.reward.kernel import LANDMARKS, Kernel
from trueline.reward.linear import LinearReward, telling
from trueline.reward.registry import load_reward


def design(n=80, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 9)) * (rng.random((n, 9)) < 0.6)
    return Design(csr_matrix(x[:, :5]), x[:, 5:].astype(dtype))


def test_gamma_is_one_over_the_median_squared_distance():
    x = design()
    assert Kernel.fit(x).gamma == pytest.approx(1 / np.median(pdist(x.toarray(), "sqeuclidean")))


def test_values_are_the_kernel_and_with_all_rows_as_landmarks_the_map_is_exact():
    x, unseen = design(), design(seed=1)
    kernel = Kernel.fit(x)
    assert len(kernel.landmarks.dense) == 80 < LANDMARKS
    exact = rbf_kernel(unseen.toarray(), kernel.landmarks.toarray(), gamma=kernel.gamma)
    np.testing.assert_allclose(kernel.values(unseen), exact, atol=1e-9)
    mapped = kernel.map(x).dense
    np.testing.assert_allclose(mapped @ mapped.T, rbf_kernel(x.toarray(), gamma=kernel.gamma), atol=1e-5)


def test_landmarks_repeat_and_are_rows_of_the_data():
    x = design(n=LANDMARKS + 200)
    kernel, again = Kernel.fit(x), Kernel.fit(x)
    assert kernel.landmarks.shape == (LANDMARKS, 9)
    assert np.array_equal(kernel.root, again.root)
    rows = {tuple(r) for r in x.toarray()}
    assert {tuple(r) for r in kernel.landmarks.toarray()} <= rows


def test_scores_of_a_row_do_not_depend_on_the_others():
    x, weights = design(), np.random.default_rng(1).normal(size=(2, 80))
    kernel = Kernel.fit(x)
    whole = kernel.scores(x, weights)
    alone = np.concatenate([kernel.scores(x.rows(np.array([i])), weights) for i in range(80)])
    assert np.array_equal(alone, whole)
    np.testing.assert_allclose([kernel.score_of(r, weights) for r in x.toarray()], whole, atol=1e-6)


def test_the_gradient_is_the_slope():
    kernel, weights = Kernel.fit(design(dtype=np.float64)), np.random.default_rng(1).normal(size=80)
    x = np.random.default_rng(2).normal(size=9)
    for j, step in enumerate(np.eye(9) * 1e-5):
        up, down = (kernel.score_of(x + s, weights[None])[0] for s in (step, -step))
        assert kernel.gradient(x, weights)[j] == pytest.approx((up - down) / 2e-5, abs=1e-6)


def test_integrated_gradients_are_complete():
    kernel, weights = Kernel.fit(design()), np.random.default_rng(1).normal(size=80)
    rows = design(seed=5).toarray()
    for start, end in zip(rows[:-1], rows[1:], strict=True):
        gap = kernel.score_of(end, weights[None])[0] - kernel.score_of(start, weights[None])[0]
        parts = kernel.integrated_gradients(start, end, weights)
        assert abs(parts.sum() - gap) < 1e-3
        assert np.all(parts[start == end] == 0)


def test_saved_arrays_give_the_same_kernel():
    x = design()
    kernel = Kernel.fit(x)
    again = Kernel.of_arrays({**kernel.arrays(), "scale_other": np.zeros(1)})
    assert np.array_equal(again.map(x).dense, kernel.map(x).dense)


@pytest.fixture(scope="module")
def either_but_not_both():
    """An answer is good if exactly one of "red" and "blue" is in it, which no sum of words can say."""
    rng, exchanges, ratings = np.random.default_rng(0), [], []
    for i in range(600):
        red, blue = rng.integers(0, 2, 2)
        filler = list(rng.choice("we send the parcel".split(), 2))
        text = " ".join(rng.permutation([*(["red"] * red), *(["blue"] * blue), *filler]))
        e = Exchange.of(Prompt.from_user(f"question {i}"), text)
        exchanges.append(e)
        ratings.append(Rating(e.completion.id, "quality", 5 if red != blue else 1, Annotator("Anna")))
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        (),
    )


def test_learns_what_a_line_cannot(tmp_path, either_but_not_both):
    fits = {}
    for kernel in ("linear", "rbf"):
        config = RewardConfig(kind="svm", kernel=kernel, features=("words",), max_features=100)
        model = LinearReward(config, ("quality",))
        fits[kernel] = model.fit(either_but_not_both).dimensions["quality"].pearson
    assert fits["rbf"] > 0.9 > 0.7 > fits["linear"]
    model.save(tmp_path / "m")
    exchanges = [either_but_not_both.exchange(i) for i in either_but_not_both.completions]
    loaded = load_reward(tmp_path / "m")
    assert np.array_equal(loaded.score(exchanges).values, model.score(exchanges).values)
    assert telling(loaded, 3) == telling(model, 3)
    parts = model.explain(Exchange.of(Prompt.from_user("q"), "we send the red parcel")).parts[0]
    assert parts["red"] > 0 and max(parts, key=lambda name: abs(parts[name])) in ("red", "words not said")
