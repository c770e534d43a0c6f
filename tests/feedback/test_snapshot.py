"""A snapshot tells its content by its hash, whatever the order, and never changes."""

import hashlib
import json
import random
from dataclasses import FrozenInstanceError, replace

import pytest

from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating, split_of

PEOPLE = [Annotator("Anna"), Annotator("张伟"), Annotator("sim-01", simulated=True)]


@pytest.fixture
def content():
    """Sixty prompts with two answers each: people differ, so that an order by value is not the order by name."""
    rng = random.Random(0)
    exchanges = [
        Exchange.of(Prompt((Message("user", f"question {i} ü"),), {"n": i}), f"answer {j}")
        for i in range(60)
        for j in (0, 1)
    ]
    ratings = [
        Rating(e.completion.id, "quality", rng.choice([None, 1, 2, 3, 4, 5]), person)
        for e in exchanges
        for person in PEOPLE
    ]
    comparisons = [
        Comparison(a.completion.id, b.completion.id, "safety", rng.randint(-3, 3), person, rng.random() < 0.2)
        for a, b in zip(exchanges[::2], exchanges[1::2], strict=True)
        for person in PEOPLE
    ]
    return exchanges, ratings, comparisons


@pytest.fixture
def snapshot(store, content):
    store.add(*content)
    return store.snapshot()


def test_the_same_content_has_the_same_hash_in_any_order(tmp_path, content, snapshot):
    for seed in range(3):
        parts = [list(part) for part in content]
        for part in parts:
            random.Random(seed).shuffle(part)
        with FeedbackStore.open(tmp_path / f"{seed}.db") as other:
            for i in range(0, len(parts[0]), 30):
                other.add(parts[0][i : i + 30])
            other.add((), parts[1], parts[2])
            assert other.snapshot().sha256 == snapshot.sha256
            assert other.snapshot() == snapshot


def test_order_of_making_does_not_show(snapshot):
    """Sums over labels depend on their order in the last bit, so a snapshot brings its own."""
    turned = FeedbackSnapshot(
        dict(reversed(snapshot.prompts.items())),
        dict(reversed(snapshot.completions.items())),
        snapshot.ratings[::-1],
        snapshot.comparisons[::-1],
    )
    assert turned == snapshot and turned.sha256 == snapshot.sha256
    assert list(turned.prompts) == list(snapshot.prompts) and list(turned.completions) == list(snapshot.completions)


def test_any_change_changes_the_hash(snapshot):
    rating, comparison = snapshot.ratings[0], snapshot.comparisons[0]
    other_value = 1 if rating.value != 1 else 2
    turned = replace(comparison, both_bad=not comparison.both_bad)
    changed = [
        replace(snapshot, ratings=(replace(rating, value=other_value), *snapshot.ratings[1:])),
        replace(snapshot, ratings=(replace(rating, dimension="safety"), *snapshot.ratings[1:])),
        replace(snapshot, ratings=snapshot.ratings[1:]),
        replace(snapshot, comparisons=(turned, *snapshot.comparisons[1:])),
        replace(snapshot, prompts=dict(list(snapshot.prompts.items())[1:])),
    ]
    hashes = {s.sha256 for s in changed}
    assert len(hashes) == len(changed) and snapshot.sha256 not in hashes


def test_a_snapshot_never_changes(store, snapshot):
    before = snapshot.sha256
    extra = Exchange.of(Prompt.from_user("new"), "answer")
    store.add([extra], [Rating(extra.completion.id, "quality", 1, PEOPLE[0])])
    assert extra.completion.id not in snapshot.completions
    assert snapshot.sha256 == before == replace(snapshot).sha256
    with pytest.raises(FrozenInstanceError):
        snapshot.ratings = ()
    with pytest.raises(TypeError):
        snapshot.prompts["x"] = extra.prompt
    with pytest.raises(TypeError):
        del snapshot.completions[next(iter(snapshot.completions))]


def test_saved_and_loaded_is_equal(tmp_path, snapshot):
    snapshot.save(tmp_path / "s.json")
    loaded = FeedbackSnapshot.load(tmp_path / "s.json")
    assert loaded == snapshot and loaded.sha256 == snapshot.sha256
    assert [p.meta for p in loaded.prompts.values()] == [p.meta for p in snapshot.prompts.values()]
    assert loaded.annotators == snapshot.annotators
    assert {a.name for a in loaded.annotators if a.simulated} == {"sim-01"}


def refused(path):
    with pytest.raises(InputError) as caught:
        FeedbackSnapshot.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_changed_or_cut_file_is_refused(tmp_path, snapshot):
    path = tmp_path / "s.json"
    snapshot.save(path)
    text = path.read_text()
    path.write_text(text.replace("answer 0", "answer 9", 1))
    assert "sha256" in refused(path)
    for length in (0, 10, 80, len(text) - 1):
        path.write_text(text[:length])
        refused(path)
    path.write_text(text)
    assert FeedbackSnapshot.load(path) == snapshot


@pytest.mark.parametrize("text", ["[1]\n{}", "3\n{}", '{"a": 1}\n{}', "\n", "no json"])
def test_files_that_are_no_snapshot(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    refused(tmp_path / "s.json")
    refused(tmp_path / "missing.json")


def test_a_true_hash_does_not_make_a_snapshot(tmp_path):
    """What another program hashed the same way, or a hand that mended the hash."""
    for body in ("[]", "{}", '{"prompts": 3}', "x"):
        digest = hashlib.sha256(body.encode()).hexdigest()
        (tmp_path / "s.json").write_text(json.dumps({"sha256": digest}) + "\n" + body)
        refused(tmp_path / "s.json")


def test_splits_are_by_prompt_and_share_nothing(snapshot):
    parts = {name: snapshot.split(name) for name in ("train", "validation", "test")}
    for name, part in parts.items():
        assert part.prompts and all(split_of(p) == name for p in part.prompts.values())
        assert {c.prompt_id for c in part.completions.values()} <= set(part.prompts)
        assert {i for r in part.ratings for i in [r.completion_id]} <= set(part.completions)
        assert {i for c in part.comparisons for i in (c.a_id, c.b_id)} <= set(part.completions)
    for field in ("prompts", "completions", "ratings", "comparisons"):
        found = [x for part in parts.values() for x in getattr(part, field)]
        assert len(found) == len(set(found)) == len(getattr(snapshot, field))
        assert set(found) == set(getattr(snapshot, field))


def test_by_annotators_keeps_the_texts_and_some_peoples_labels(snapshot):
    part = snapshot.by_annotators({"Anna", "sim-01"})
    assert part.prompts == snapshot.prompts and part.completions == snapshot.completions
    assert {a.name for a in part.annotators} == {"Anna", "sim-01"}
    assert len(part.ratings) == 2 * len(snapshot.ratings) / 3
    assert {c.annotator.name for c in part.comparisons} == {"Anna", "sim-01"}
    assert snapshot.by_annotators(set()).annotators == ()
