"""Agreement between people against the krippendorff package, scikit-learn and counting by hand."""

import subprocess
import sys

import krippendorff
import numpy as np
import pytest
from scipy.stats import binomtest, ttest_ind
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score

from trueline.feedback.quality.agreement import pairwise_sign_agreement, sign_agreement
from trueline.feedback.quality.alpha import alpha, alpha_interval
from trueline.feedback.quality.interval import resampled_sums, student_quantile, welch, wilson
from trueline.feedback.quality.kappa import pairwise_kappa
from trueline.feedback.quality.votes import Vote, coded, same


def table(rng, items, people, values, missing=0.4, noise=0.4):
    """(people, items) values, NaN where nobody was asked: a truth, and noise of everyone's own."""
    truth = rng.choice(values, items)
    said = np.where(rng.random((people, items)) < noise, rng.choice(values, (people, items)), truth).astype(float)
    said[rng.random((people, items)) < missing] = np.nan
    return said


def votes_of(said):
    return [Vote(f"i{i}", f"p{j}", float(v)) for j, row in enumerate(said) for i, v in enumerate(row)]


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [-3, -2, -1, 0, 1, 2, 3], [0.5, 4, 4.25, 90]])
def test_alpha_is_krippendorffs(level, values):
    for seed in range(4):
        said = table(np.random.default_rng(seed), 40, 5, values, missing=0.2 * seed)
        theirs = krippendorff.alpha(said, level_of_measurement=level)
        assert alpha(votes_of(said), level) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("level", "known"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_own_example(level, known):
    rows = ["123321412...", "1233224125.3", ".3332342251.", "1233244125 1.".replace(" ", "")]
    votes = [Vote(str(i), str(j), int(v)) for j, row in enumerate(rows) for i, v in enumerate(row) if v != "."]
    assert alpha(votes, level) == pytest.approx(known, abs=5e-4)


def test_words_on_a_scale_need_their_order():
    words = {1: "bad", 2: "fair", 3: "good", 4: "great"}
    said = table(np.random.default_rng(1), 30, 4, list(words))
    numbers = [v for v in votes_of(said) if v.value == v.value]
    votes = [Vote(v.item, v.annotator, words[int(v.value)]) for v in numbers]
    theirs = krippendorff.alpha(said, level_of_measurement="ordinal")
    assert alpha(votes, "ordinal", list(words.values())) == pytest.approx(theirs, abs=1e-9)
    assert abs(alpha(votes, "ordinal", ["great", "bad", "good", "fair"]) - theirs) > 0.01
    assert alpha(votes) == pytest.approx(krippendorff.alpha(said, level_of_measurement="nominal"), abs=1e-9)
    with pytest.raises(ValueError, match="no order of their own"):
        alpha(votes, "ordinal")
    with pytest.raises(ValueError, match="no distance"):
        alpha(votes, "interval")
    with pytest.raises(ValueError, match="'great' is voted for"):
        alpha(votes, "ordinal", ["bad", "fair", "good"])


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alphas_interval_is_the_bootstrap_by_item(level):
    said = table(np.random.default_rng(3), 60, 4, [1, 2, 3, 4, 5])
    said = said[:, (~np.isnan(said)).sum(0) > 1]
    found = alpha_interval(votes_of(said), level, resamples=2000)
    rng, n = np.random.default_rng(0), said.shape[1]
    drawn = [krippendorff.alpha(said[:, rng.integers(0, n, n)], level_of_measurement=level) for _ in range(600)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found is not None and found.n == n
    assert found.value == pytest.approx(krippendorff.alpha(said, level_of_measurement=level))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.04), pytest.approx(high, abs=0.04))
    assert found == alpha_interval(votes_of(said), level, resamples=2000)


@pytest.mark.parametrize(
    "votes",
    [
        [],
        [Vote("a", "p", 1), Vote("b", "q", 2)],
        [Vote("a", "p", 1), Vote("a", "p", 2)],
        [Vote(i, p, 3) for i in "abc" for p in "pq"],
    ],
)
def test_alpha_without_anything_to_agree_on_is_not_defined(votes):
    for level in ("nominal", "ordinal", "interval"):
        assert np.isnan(alpha(votes, level)) and alpha_interval(votes, level) is None


def test_fifty_thousand_votes_have_a_narrow_interval():
    said = table(np.random.default_rng(0), 12_500, 5, [1, 2, 3, 4, 5], missing=0.2)
    votes = [v for v in votes_of(said) if v.value == v.value]
    found = alpha_interval(votes, "ordinal", resamples=1_000)
    assert found is not None and 0.005 < found.high - found.low < 0.03 and found.low < found.value < found.high


def test_a_resample_draws_as_many_items_with_replacement():
    drawn = resampled_sums(np.array([[1.0, 0], [1, 1], [1, 1], [1, 5]]), 40_000, 0)
    assert (drawn[:, 0] == 4).all()
    x = np.array([0, 1, 1, 5])
    assert drawn[:, 1].mean() == pytest.approx(x.sum(), abs=0.1)
    assert drawn[:, 1].var() == pytest.approx(4 * x.var(), rel=0.03)


def test_kappa_is_scikit_learns_for_each_two_people():
    said = table(np.random.default_rng(5), 80, 4, [1, 2, 3, 4, 5])
    rows = pairwise_kappa(votes_of(said))
    assert [(r.first, r.second) for r in rows] == [(f"p{i}", f"p{j}") for i in range(4) for j in range(i + 1, 4)]
    for r in rows:
        a, b = said[int(r.first[1])], said[int(r.second[1])]
        both = ~np.isnan(a) & ~np.isnan(b)
        a, b = a[both].astype(int), b[both].astype(int)
        assert r.n == both.sum() and r.agreement == pytest.approx((a == b).mean())
        assert r.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
        quadratic = cohen_kappa_score(a, b, weights="quadratic", labels=[1, 2, 3, 4, 5])
        assert r.quadratic == pytest.approx(quadratic, abs=1e-12)


def test_kappa_where_it_is_not_defined():
    (row,) = pairwise_kappa([Vote(i, p, 2) for i in "ab" for p in "pq"])
    assert (row.n, row.agreement, row.kappa, row.quadratic) == (2, 1.0, None, None)
    (row,) = pairwise_kappa([Vote("a", "p", "x"), Vote("a", "q", "y"), Vote("b", "p", "y"), Vote("b", "q", "y")])
    assert (row.agreement, row.kappa, row.quadratic) == (0.5, 0.0, None)
    assert pairwise_kappa([Vote("a", "p", 1), Vote("b", "q", 1)]) == pairwise_kappa([]) == ()


PREFERENCES = {"a": (3, 1, -1), "b": (0, 0, 2), "c": (-2, -1, None), "d": (1, 0, None), "e": (2, None, None)}


def preferences():
    return [
        Vote(item, p, v)
        for item, said in PREFERENCES.items()
        for p, v in zip("pqr", said, strict=True)
        if v is not None
    ]


def test_preferences_agree_by_sign_with_and_without_ties():
    # a: + + −: 1 of 3. b: 0 0 +: 1 of 3, none without ties. c: 1 of 1. d: + 0: 0 of 1, none without ties.
    found = sign_agreement(preferences())
    assert found.ties is not None and (found.ties.value, found.ties.n) == (3 / 8, 8)
    assert found.clear is not None and (found.clear.value, found.clear.n) == (2 / 4, 4)
    assert 0 <= found.ties.low < 3 / 8 < found.ties.high <= 1
    rows = {(r.first, r.second): r for r in pairwise_sign_agreement(preferences())}
    assert {k: (r.ties.value, r.ties.n) for k, r in rows.items()} == {
        ("p", "q"): (3 / 4, 4),
        ("p", "r"): (0, 2),
        ("q", "r"): (0, 2),
    }
    clear = {k: (r.clear.value, r.clear.n) for k, r in rows.items() if r.clear}
    assert clear == {("p", "q"): (1, 2), ("p", "r"): (0, 1), ("q", "r"): (0, 1)}


def test_agreements_interval_widens_where_pairs_share_an_item():
    rng = np.random.default_rng(2)
    agreed = rng.random(50) < 0.7
    # Seven people an item, all of them one way or, else, four against three: 21 pairs that are not independent.
    votes = [Vote(f"i{i}", f"p{j}", 1 if a or j < 4 else -1) for i, a in enumerate(agreed) for j in range(7)]
    found = sign_agreement(votes, resamples=4000).clear
    assert found is not None and found.n == 50 * 21
    share = np.where(agreed, 1, 9 / 21)
    reach = 1.96 * share.std() / np.sqrt(50)
    assert found.value == pytest.approx(share.mean())
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.1)


def test_full_agreement_is_not_certain():
    found = sign_agreement([Vote(f"i{i}", p, 1) for i in range(20) for p in "pqr"])
    assert found.clear is not None and (found.clear.value, found.clear.high, found.clear.n) == (1, 1, 60)
    assert found.clear.low == pytest.approx(1 - 0.16113, abs=1e-4)  # Wilson, of 20 items
    assert sign_agreement([Vote("a", "p", 1)]).ties is None
    tie = sign_agreement([Vote("a", "p", 0), Vote("a", "q", 0)])
    assert tie.ties is not None and tie.ties.value == 1 and tie.clear is None


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 10), (240, 300), (12, 12)])
def test_wilson_is_scipys(hits, n):
    found, theirs = wilson(hits, n), binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))


@pytest.mark.parametrize("df", [1, 1.5, 2, 3.7, 10, 64.2, 2000])
def test_students_quantile_is_scipys(df):
    assert student_quantile(df) == pytest.approx(student.ppf(0.975, df), rel=1e-4)


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 9), rng.normal(1, 3, 14)
    theirs = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    found = welch(a, b)
    assert found.value == pytest.approx(b.mean() - a.mean())
    assert (found.low, found.high) == (pytest.approx(theirs.low, rel=1e-4), pytest.approx(theirs.high, rel=1e-4))


def test_the_newest_vote_counts_in_its_place_in_time():
    c = coded([Vote("a", "p", 1), Vote("b", "p", 2), Vote("a", "p", 3), Vote("b", "q", float("nan"))])
    assert c.items == ("b", "a") and c.annotators == ("p",) and c.numbers.tolist() == [2, 3]


def test_what_is_called_the_same():
    assert same("preference", 3, 1) and same("preference", 0, 0) and not same("preference", 0, 1)
    assert same("mark", 4, 5) and not same("mark", 3, 5)
    assert same("label", "x", "x") and not same("label", 4, 5)
    with pytest.raises(ValueError, match="is a number"):
        same("mark", "good", 3)


def test_nothing_heavy_is_imported():
    code = """if True:
        import pkgutil, sys, trueline.feedback.quality as q
        [__import__(f"{q.__name__}.{m.name}") for m in pkgutil.iter_modules(q.__path__)]
        print(sorted({"scipy", "sklearn", "torch", "pandas", "sqlalchemy"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
