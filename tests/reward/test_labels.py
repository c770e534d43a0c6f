"""From labels to targets and pairs, counted by hand."""

import numpy as np
import pytest

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating
from trueline.reward.labels import ordered_pairs, preference_pairs, rating_targets

ANNA, BEN = Annotator("Anna"), Annotator("Ben")
EXCHANGES = [Exchange.of(Prompt.from_user(f"q{i // 2}"), f"a{i}") for i in range(12)]
IDS = [e.completion.id for e in EXCHANGES]


def snapshot(ratings=(), comparisons=()):
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in EXCHANGES},
        {e.completion.id: e.completion for e in EXCHANGES},
        tuple(Rating(IDS[i], d, v, person) for i, d, v, person in ratings),
        tuple(Comparison(IDS[a], IDS[b], d, p, person) for a, b, d, p, person in comparisons),
    )


def values(targets):
    return dict(zip(targets.ids, targets.values.tolist(), strict=True))


def test_a_target_is_the_mean_and_its_weight_the_number():
    found = rating_targets(snapshot([(0, "q", 2, ANNA), (0, "q", 5, BEN), (1, "q", 1, ANNA), (2, "s", 4, ANNA)]), "q")
    assert values(found) == {IDS[0]: 3.5, IDS[1]: 1.0}
    assert dict(zip(found.ids, found.weights, strict=True)) == {IDS[0]: 2.0, IDS[1]: 1.0}
    assert dict(zip(found.ids, found.groups, strict=True)) == dict.fromkeys(IDS[:2], EXCHANGES[0].prompt.id)


def test_not_applicable_counts_for_nothing():
    found = rating_targets(snapshot([(0, "q", None, ANNA), (1, "q", 3, ANNA), (1, "q", None, BEN)]), "q")
    assert values(found) == {IDS[1]: 3.0}
    assert len(rating_targets(snapshot([(0, "q", None, ANNA)]), "q").ids) == 0


def test_strict_and_lenient_people_become_comparable():
    """Anna gives 1 where Ben gives 3, five times each: both say the same, 2."""
    ratings = [(i, "q", 1, ANNA) for i in range(5)] + [(i, "q", 3, BEN) for i in range(5, 10)]
    assert set(values(rating_targets(snapshot(ratings), "q")).values()) == {2.0}
    few = ratings[:4] + ratings[5:]
    found = values(rating_targets(snapshot(few), "q"))
    assert [found[IDS[i]] for i in range(4)] == [1.0] * 4
    assert found[IDS[5]] == pytest.approx(3 - (3 - 19 / 9))


def test_pairs_have_a_winner_and_a_weight():
    comparisons = [(0, 1, "q", 3, ANNA), (2, 3, "q", -1, ANNA), (4, 5, "q", 0, ANNA), (0, 1, "s", 2, ANNA)]
    found = preference_pairs(snapshot(comparisons=comparisons), "q")
    rows = set(zip(found.a, found.b, found.sign.tolist(), found.weights.tolist(), found.groups, strict=True))
    assert rows == {
        (IDS[0], IDS[1], 1.0, 3.0, EXCHANGES[0].prompt.id),
        (IDS[2], IDS[3], -1.0, 1.0, EXCHANGES[2].prompt.id),
    }


def test_ordered_pairs_say_worse_then_better():
    compared = snapshot([(4, "q", 1, ANNA), (5, "q", 5, ANNA)], [(0, 1, "q", 3, ANNA), (2, 3, "q", -1, ANNA)])
    assert set(ordered_pairs(compared, "q")) == {(IDS[0], IDS[1]), (IDS[3], IDS[2])}
    rated = snapshot([(0, "q", 4, ANNA), (1, "q", 2, ANNA), (2, "q", 3, ANNA), (3, "q", 3, ANNA), (4, "q", 5, ANNA)])
    assert ordered_pairs(rated, "q") == [(IDS[1], IDS[0])]


def test_without_labels_there_is_nothing():
    assert ordered_pairs(snapshot(), "q") == []
    assert np.array(preference_pairs(snapshot(), "q").sign).shape == (0,)
