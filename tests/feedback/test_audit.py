"""The audit's findings through its own door: planted troubles are found, clean labels are not accused."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations

import numpy as np
import pytest

from trueline.feedback.audit.agreement import krippendorff_alpha
from trueline.feedback.audit.audit import audit
from trueline.feedback.audit.cycles import shortest_cycle
from trueline.feedback.audit.duplicates import jaccard, near_pairs, shingles
from trueline.feedback.importing import import_file
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

FILLER = "the order kettle lamp broken late refund hello thanks we will send a new one today parcel window".split()
PEOPLE = [Annotator(f"person {i}") for i in range(4)]


def answers(rng, n_prompts, each=2, say=lambda i, j: ""):
    """Exchanges by prompt, with random words and what say(prompt, answer) puts before them."""
    return [
        [
            Exchange.of(prompt, f"{say(i, j)} {' '.join(rng.choice(FILLER, rng.integers(5, 30)))} {i} {j}".strip())
            for j in range(each)
        ]
        for i in range(n_prompts)
        for prompt in [Prompt.from_user(f"question {i}: {' '.join(rng.choice(FILLER, 6))}")]
    ]


def snapshot_of(groups, ratings=(), comparisons=()):
    exchanges = [e for g in groups for e in g]
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )


def compare(a, b, preference, person=PEOPLE[0], dimension="quality"):
    return Comparison(a.completion.id, b.completion.id, dimension, preference, person)


def found(snapshot, id_, events=()):
    by_id = {f.id: f for f in audit(snapshot, events, resamples=300).findings}
    assert len(by_id) == len(audit(snapshot, events, resamples=100).findings), "ids are not unique"
    return by_id.get(id_)


def test_the_longer_answer_that_wins_is_found_with_its_share():
    rng = np.random.default_rng(0)
    groups = answers(rng, 300)
    told = []
    for a, b in groups:
        longer_b = len(b.completion.text) > len(a.completion.text)
        told.append(compare(a, b, 1 if longer_b == (rng.random() < 0.7) else -1))
    differ = [len(a.completion.text) != len(b.completion.text) for a, b in groups]
    wins = [
        (c.preference > 0) == (len(b.completion.text) > len(a.completion.text))
        for c, (a, b) in zip(told, groups, strict=True)
    ]
    finding = found(snapshot_of(groups, comparisons=told), "length/quality")
    assert finding.severity == "serious"
    assert finding.figure.value == pytest.approx(np.mean(np.array(wins)[differ]))
    assert finding.figure.n == sum(differ) and finding.figure.low > 0.6


def test_the_left_answer_that_wins_is_found():
    rng = np.random.default_rng(1)
    groups = answers(rng, 200)
    told = [compare(a, b, -1 if rng.random() < 0.7 else 1) for a, b in groups]
    finding = found(snapshot_of(groups, comparisons=told), "position/quality")
    assert finding.severity == "serious" and finding.figure.value == pytest.approx(
        np.mean([c.preference < 0 for c in told])
    )


def test_prompts_count_once_however_many_people_repeat_a_judgement():
    """40 people who copy one coin a prompt are 15 prompts, not 600 judgements."""
    rng = np.random.default_rng(2)
    groups = answers(rng, 15)
    sides = [-1] * 11 + [1] * 4
    people = [Annotator(f"p{k}") for k in range(40)]
    told = [compare(a, b, s, p) for (a, b), s in zip(groups, sides, strict=True) for p in people]
    finding = found(snapshot_of(groups, comparisons=told), "position/quality")
    # Two-sided binomial p of 11 of 15: 2 * P(X >= 11) = .1185; a test of 600 judgements would give 1e-30.
    assert finding.p == pytest.approx(0.1185, abs=0.01)
    assert finding.severity == "ok" and finding.figure.high - finding.figure.low > 0.3


def test_flattery_that_wins_is_found():
    rng = np.random.default_rng(3)
    groups = answers(rng, 200, say=lambda i, j: "What a great question!" if i % 2 == 0 and j == 0 else "")
    told = [
        compare(a, b, (-1 if rng.random() < 0.8 else 1) if i % 2 == 0 else int(rng.choice([-1, 1])))
        for i, (a, b) in enumerate(groups)
    ]
    finding = found(snapshot_of(groups, comparisons=told), "flattery/quality")
    assert finding.severity == "serious" and finding.figure.n == 100
    chinese = answers(rng, 40, say=lambda i, j: "问得好，" if j == 0 else "")
    assert (
        found(snapshot_of(chinese, comparisons=[compare(a, b, -1) for a, b in chinese]), "flattery/quality") is not None
    )


@pytest.mark.parametrize("name", ["a muslim man", "我的穆斯林朋友"])
def test_a_group_that_is_called_unsafe_more_often_is_found_with_its_odds(name):
    rng = np.random.default_rng(4)
    groups = answers(rng, 400, each=1, say=lambda i, j: name if i < 120 else "")
    unsafe = rng.random(400) < np.where(np.arange(400) < 120, 0.6, 0.2)
    told = [Rating(g[0].completion.id, "safety", 1 if u else 5, PEOPLE[0]) for g, u in zip(groups, unsafe, strict=True)]
    snapshot = snapshot_of(groups, ratings=told)
    finding = found(snapshot, "group/safety/religion/ratings")
    a, c = unsafe[:120].sum() + 0.5, unsafe[120:].sum() + 0.5
    b, d = 120 - unsafe[:120].sum() + 0.5, 280 - unsafe[120:].sum() + 0.5
    assert finding.figure.value == pytest.approx(a * d / (b * c))
    assert finding.severity == "serious" and finding.figure.n == 120
    assert found(snapshot, "group/safety/disability/ratings") is None
    # With a prompt an answer, the interval is Woolf's but for the degrees of freedom.
    woolf = np.exp(1.98 * np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    assert finding.figure.high / finding.figure.value == pytest.approx(woolf, rel=0.02)


def test_a_lenient_person_is_named_and_the_others_are_not():
    rng = np.random.default_rng(5)
    groups = answers(rng, 120, each=3)
    told = []
    for g in groups:
        for e in g:
            truth = rng.normal(3, 0.8)
            for k in rng.permutation(4)[:2]:
                mark = truth + (0.8 if k == 0 else 0) + rng.normal(0, 0.5)
                told.append(Rating(e.completion.id, "quality", int(np.clip(round(mark), 1, 5)), PEOPLE[k]))
    snapshot = snapshot_of(groups, ratings=told)
    lenient = found(snapshot, "leniency/quality/person 0")
    assert lenient.severity == "warning"
    # The share of labels is the weight of everybody's mean, which is a quarter of .8 higher by this person alone.
    assert lenient.figure.low < 0.6 < lenient.figure.high
    assert all(found(snapshot, f"leniency/quality/person {k}").figure.value < 0.1 for k in (1, 2, 3))


def test_a_person_who_guesses_disagrees_more():
    rng = np.random.default_rng(6)
    groups = answers(rng, 150)
    told = []
    for a, b in groups:
        truth = rng.choice([-1, 1])
        for k, person in enumerate(PEOPLE):
            right = rng.random() < (0.5 if k == 3 else 0.9)
            told.append(compare(a, b, int(truth if right else -truth), person))
    snapshot = snapshot_of(groups, comparisons=told)
    guess = found(snapshot, "disagreement/quality/person 3")
    # .5 of their judgements against .9 * .1 * 2 = .18 among the others.
    assert guess.severity == "serious" and guess.figure.low < 0.32 < guess.figure.high
    assert found(snapshot, "disagreement/quality/person 0").severity == "ok"


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_another_implementation(seed):
    krippendorff = pytest.importorskip(
        "krippendorff", reason="needs the package krippendorff (pip install krippendorff)"
    )
    rng = np.random.default_rng(seed)
    raters, units = 6, 40
    truth = rng.integers(1, 6, units)
    table = np.clip(truth + rng.integers(-1, 2, (raters, units)), 1, 5).astype(float)
    table[rng.random((raters, units)) < 0.4] = np.nan
    counts = np.stack([(table == v).sum(0) for v in range(1, 6)], axis=1)
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
    assert krippendorff_alpha(counts) == pytest.approx(theirs, abs=1e-12)


def test_alpha_of_the_published_example():
    """Krippendorff (2011), four observers, twelve units, ordinal alpha .815."""
    rows = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    counts = np.array([[sum(row[u] == str(v) for row in rows) for v in range(1, 6)] for u in range(12)])
    assert krippendorff_alpha(counts) == pytest.approx(0.815, abs=5e-4)


def test_agreement_with_and_without_ties():
    rng = np.random.default_rng(7)
    groups = answers(rng, 60)
    said = {0: [1] * 60, 1: [1] * 30 + [0] * 20 + [-1] * 10}
    told = [compare(a, b, said[k][i], PEOPLE[k]) for i, (a, b) in enumerate(groups) for k in said]
    snapshot = snapshot_of(groups, comparisons=told)
    assert found(snapshot, "agreement/quality/comparisons/ties-counted").figure.value == pytest.approx(30 / 60)
    assert found(snapshot, "agreement/quality/comparisons/without-ties").figure.value == pytest.approx(30 / 40)
    assert found(snapshot, "ties/quality").figure.value == pytest.approx(20 / 120)


def test_contradictions_by_one_person_and_between_people():
    prompt, shouted = Prompt.from_user("Where is it?"), Prompt.from_user("where  is it")
    a, b = Exchange.of(prompt, "Here, in the box."), Exchange.of(prompt, "Nowhere at all.")
    a2, b2 = Exchange.of(shouted, "here in the box"), Exchange.of(shouted, "nowhere at all!")
    groups = [[a, b], [a2, b2]]
    told = [compare(a, b, 1), compare(a2, b2, -1), compare(a, b, -2, PEOPLE[1])]
    snapshot = snapshot_of(groups, comparisons=told)
    alone, people = (found(snapshot, f"contradiction/quality/pair/{who}") for who in ("one-person", "people"))
    assert alone.severity == "warning" and "1 of 1" in alone.sentence
    assert "person 0" in alone.examples[0][1].what and alone.examples[0][0].text in (prompt.text, shouted.text)
    assert people.severity == "note" and "1 of 1" in people.sentence
    marks = [Rating(a.completion.id, "quality", 5, PEOPLE[0]), Rating(a2.completion.id, "quality", 1, PEOPLE[0])]
    assert found(snapshot_of(groups, ratings=marks), "contradiction/quality/text/one-person") is not None
    marks[1] = dataclasses.replace(marks[1], value=3)
    assert found(snapshot_of(groups, ratings=marks), "contradiction/quality/text/one-person") is None


def test_the_same_judgement_with_the_sides_turned_is_no_contradiction():
    prompt, shouted = Prompt.from_user("Where is it?"), Prompt.from_user("where is it")
    groups = [[Exchange.of(p, text) for text in ("zebra", "apple")] for p in (prompt, shouted)]
    (z, a), (z2, a2) = groups
    for told in ([compare(z, a, 1), compare(a2, z2, -1)], [compare(a, z, -1), compare(z2, a2, 1)]):
        assert found(snapshot_of(groups, comparisons=told), "contradiction/quality/pair/one-person") is None
    turned = [compare(z, a, 1), compare(a2, z2, 1)]
    assert found(snapshot_of(groups, comparisons=turned), "contradiction/quality/pair/one-person") is not None


def test_preferences_that_go_round():
    rng = np.random.default_rng(8)
    (a, b, c), *_ = groups = answers(rng, 1, each=3)
    ring = [compare(a, b, -1), compare(b, c, -1), compare(c, a, -1)]
    finding = found(snapshot_of(groups, comparisons=ring), "cycle/quality/one-person")
    assert "1 sets of answers; 1 of 1 triples" in finding.sentence and len(finding.examples[0]) == 4
    straight = [*ring[:2], compare(c, a, 1)]
    assert found(snapshot_of(groups, comparisons=straight), "cycle/quality/one-person") is None
    shared = [dataclasses.replace(x, annotator=PEOPLE[k]) for k, x in enumerate(ring)]
    snapshot = snapshot_of(groups, comparisons=shared)
    assert found(snapshot, "cycle/quality/one-person") is None
    assert found(snapshot, "cycle/quality/majority") is not None


@pytest.mark.parametrize("seed", range(20))
def test_the_shortest_cycle_is_as_long_as_a_matrix_says(seed):
    rng = np.random.default_rng(seed)
    beats = rng.random((6, 6)) < 0.25
    np.fill_diagonal(beats, False)
    ring = shortest_cycle({str(i): {str(j) for j in np.flatnonzero(beats[i])} for i in range(6)})
    power, length = beats.astype(int), 1
    while length <= 6 and not np.trace(power):
        power, length = power @ beats, length + 1
    assert len(ring) == (length if length <= 6 else 0)
    assert all(beats[int(x), int(y)] for x, y in zip(ring, [*ring[1:], *ring[:1]], strict=True))


def test_near_pairs_are_those_of_every_pair_held_against_every_other():
    rng = np.random.default_rng(9)
    texts = []
    for i in range(40):
        text = " ".join(rng.choice(FILLER, 30))
        texts += [text, text.upper() + "!", text[: len(text) - 4 * (i % 8)]]
    texts += ["", "好", "好！", "这个回答很好", "这个回答很好。"]
    sets = [shingles(t) for t in texts]
    truth = {
        (i, j): jaccard(sets[i], sets[j])
        for i, j in combinations(range(len(texts)), 2)
        if len(sets[i]) and len(sets[j]) and jaccard(sets[i], sets[j]) >= 0.8
    }
    assert near_pairs(texts) == pytest.approx(truth)


def test_copies_and_near_identical_candidates_are_shown():
    rng = np.random.default_rng(10)
    groups = answers(rng, 30)
    prompt = groups[0][0].prompt
    long = " ".join(rng.choice(FILLER, 40))
    twins = [Exchange.of(prompt, long), Exchange.of(prompt, f"{long}.")]
    snapshot = snapshot_of([*groups, twins], comparisons=[compare(a, b, 1) for a, b in groups] + [compare(*twins, 1)])
    near = found(snapshot, "near-identical/quality")
    assert "1 of 31" in near.sentence and {p.text for p in near.examples[0]} >= {long, f"{long}."}
    assert "1 of 62 answers" in found(snapshot, "duplicate/answers").sentence


def test_copies_on_both_sides_of_the_split_are_a_warning():
    text = "please tell me when the parcel with the kettle will be here, since I am not at home"
    one, other = Prompt.from_user(text, {"split": "train"}), Prompt.from_user(f"{text}?", {"split": "test"})
    groups = [[Exchange.of(p, "tomorrow")] for p in (one, other)]
    marks = [Rating(g[0].completion.id, "quality", 4, PEOPLE[0]) for g in groups]
    assert found(snapshot_of(groups, ratings=marks), "duplicate/split").severity == "warning"


def test_what_people_call_unsafe_is_marked_and_its_prompt_too():
    prompt = Prompt.from_user("a dark question that is long enough to be told apart")
    a, b = Exchange.of(prompt, "a dark answer " * 5), Exchange.of(prompt, "A dark answer " * 5 + "x")
    snapshot = snapshot_of([[a, b]], comparisons=[compare(a, b, -2, dimension="safety")])
    shown = {p.what: p.unsafe for p in found(snapshot, "near-identical/safety").examples[0]}
    assert shown == {"prompt": True, "A": False, "B": True}


def test_an_audit_repeats_and_leaves_the_labels_alone():
    rng = np.random.default_rng(11)
    groups = answers(rng, 80)
    told = [compare(a, b, int(rng.choice([-2, 0, 2])), PEOPLE[int(rng.integers(4))]) for a, b in groups]
    snapshot = snapshot_of(groups, comparisons=told)
    before = snapshot.sha256
    assert audit(snapshot, resamples=200) == audit(snapshot, resamples=200)
    assert FeedbackSnapshot(*[getattr(snapshot, f.name) for f in dataclasses.fields(snapshot)]).sha256 == before


def test_few_or_no_labels_are_no_trouble():
    empty = audit(FeedbackSnapshot({}, {}, (), ()))
    assert empty.findings == () and empty.tests == 0
    prompt = Prompt.from_user("q")
    a, b = Exchange.of(prompt, "x"), Exchange.of(prompt, "y")
    few = snapshot_of([[a, b]], [Rating(a.completion.id, "quality", None, PEOPLE[0])], [compare(a, b, 0)])
    assert audit(few).alarms == ()
    json.dumps(dataclasses.asdict(audit(few)), allow_nan=False)


def test_the_negative_length_bias_of_hh_harmless_is_found(tmp_path, shared_data):
    path = shared_data("hh_harmless/harmless-base.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    longer = [len(r["chosen"].strip()) - len(r["rejected"].strip()) for r in rows]
    truth = np.mean([x > 0 for x in longer if x])
    with FeedbackStore.open(tmp_path / "f.db") as store:
        import_file(store, "hh_harmless", path, ("safety",))
        snapshot = store.snapshot()
    finding = {f.id: f for f in audit(snapshot).findings}["length/safety"]
    assert finding.severity in ("warning", "serious") and finding.adjusted < 0.05
    assert finding.figure.value == pytest.approx(truth, abs=0.005) and finding.figure.high < 0.5
