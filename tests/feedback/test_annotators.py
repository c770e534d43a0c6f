"""Simulated people: reproducible, marked as simulated, and as noisy, strict and biased as they say."""

from statistics import NormalDist

import numpy as np
import pytest

from trueline.feedback.annotators import USUAL_WORDS, SimulatedAnnotator, panel
from trueline.records import DIMENSIONS, Exchange, Prompt

PROMPT = Prompt.from_user("question")


def answers(n, words=USUAL_WORDS):
    return [Exchange.of(PROMPT, " ".join([f"answer{i}", *["word"] * (words - 1)])) for i in range(n)]


def marks(person, truth, n=4000, words=USUAL_WORDS, dimension="quality", seed=0):
    return np.array([person.rate(e, dimension, truth, seed).value for e in answers(n, words)])


def test_everything_is_marked_simulated():
    person = panel(1, 0)[0]
    a, b = answers(2)
    assert person.annotator.simulated
    assert person.rate(a, "quality", 0.5, 0).annotator == person.annotator
    assert person.compare(a, b, "quality", 0.2, 0.9, 0).annotator == person.annotator


def test_the_same_question_gets_the_same_answer_whenever_it_is_asked():
    person, (a, b) = SimulatedAnnotator("x", noise=1.0), answers(2)
    first = [person.rate(e, d, 0.5, 3) for e in (a, b) for d in DIMENSIONS]
    second = [person.rate(e, d, 0.5, 3) for e in (b, a) for d in DIMENSIONS]
    assert first == second[3:] + second[:3]
    assert person.compare(a, b, "safety", 0.4, 0.6, 3) == person.compare(a, b, "safety", 0.4, 0.6, 3)


def test_noise_differs_by_person_seed_text_and_dimension():
    one, other = SimulatedAnnotator("x", noise=1.0), SimulatedAnnotator("y", noise=1.0)
    base = marks(one, 0.5)
    for changed in (marks(other, 0.5), marks(one, 0.5, seed=1), marks(one, 0.5, dimension="safety")):
        assert 0.2 < np.mean(base != changed) < 0.9
        assert abs(np.corrcoef(base, changed)[0, 1]) < 0.06


@pytest.mark.parametrize(("truth", "mark"), [(0.0, 1), (0.25, 2), (0.5, 3), (0.75, 4), (1.0, 5)])
def test_without_noise_a_mark_is_the_truth(truth, mark):
    assert set(marks(SimulatedAnnotator("x", noise=0.0), truth, n=20)) == {mark}


@pytest.mark.parametrize("noise", [0.4, 0.9])
def test_noise_has_the_stated_size(noise):
    """Shares of the marks 1..5 around a true 3, from the normal distribution."""
    found = marks(SimulatedAnnotator("x", noise=noise), 0.5)
    cut = [0.0, *(NormalDist(3, noise).cdf(x) for x in (1.5, 2.5, 3.5, 4.5)), 1.0]
    expected = np.diff(cut)
    shares = np.bincount(found, minlength=6)[1:] / len(found)
    assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / len(found)) + 1e-3)


def test_strictness_length_bias_and_leniency_move_marks_as_stated():
    base = marks(SimulatedAnnotator("x"), 0.5).mean()
    strict = marks(SimulatedAnnotator("x", strictness=0.6), 0.5).mean()
    assert abs((base - strict) - 0.6) < 0.06
    kind = SimulatedAnnotator("x", leniency={"safety": 0.5})
    assert abs(marks(kind, 0.5, dimension="safety").mean() - base - 0.5) < 0.06
    assert abs(marks(kind, 0.5).mean() - base) < 0.06
    wordy = SimulatedAnnotator("x", length_bias=0.5)
    assert abs(marks(wordy, 0.5, words=USUAL_WORDS + 10).mean() - base - 0.5) < 0.06
    assert abs(marks(wordy, 0.5, words=USUAL_WORDS - 10).mean() - base + 0.5) < 0.06
    assert abs(marks(wordy, 0.5).mean() - base) < 0.06


def test_marks_stay_within_1_to_5():
    person = SimulatedAnnotator("x", noise=3.0)
    found = marks(person, 0.5, n=500)
    assert set(found) == {1, 2, 3, 4, 5}
    a, b = answers(2)
    preferences = {person.compare(a, b, "quality", 0.5, 0.5, seed).preference for seed in range(500)}
    assert preferences == {-3, -2, -1, 0, 1, 2, 3}


def test_comparisons_point_to_the_better_answer_and_strictness_does_not_matter():
    a, b = answers(2)
    for strictness in (0.0, 2.0):
        person = SimulatedAnnotator("x", noise=0.0, strictness=strictness)
        found = [person.compare(a, b, "quality", 0.5 - d, 0.5 + d, 0) for d in (-0.5, -0.1, 0.0, 0.1, 0.5)]
        assert [c.preference for c in found] == [-3, -1, 0, 1, 3]
        assert all((c.a_id, c.b_id) == (a.completion.id, b.completion.id) for c in found)


def test_the_noise_of_a_comparison_is_that_of_two_marks():
    person, pairs = SimulatedAnnotator("x", noise=0.5), answers(4000)
    found = [person.compare(a, b, "quality", 0.3, 0.6, 0).preference for a, b in zip(pairs, pairs[1:], strict=False)]
    expected = 1 - NormalDist(1.2, 0.5 * 2**0.5).cdf(0.5 / 0.75)
    share = np.mean(np.array(found) > 0)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / len(found))


def test_both_bad_is_said_of_two_bad_answers_only():
    person, (a, b) = SimulatedAnnotator("x"), answers(2)
    assert person.compare(a, b, "quality", 0.1, 0.2, 0).both_bad
    assert not person.compare(a, b, "quality", 0.1, 0.9, 0).both_bad


def test_a_panel_is_the_same_for_the_same_seed_and_its_people_differ():
    people = panel(6, 5)
    assert people == panel(6, 5) != panel(6, 6)
    assert people[:3] == panel(3, 5)
    for values in zip(*((p.name, p.noise, p.strictness, p.length_bias) for p in people), strict=True):
        assert len(set(values)) == 6
