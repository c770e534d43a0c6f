"""Who uses a served model and says what they think of its answers: their names, and how much they may weigh.

Users are neither simulated nor people with an account who label: whoever holds an API key is one, or a browser. One who
floods a project with labels must not lead what is learned from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Prompt, Rating, content_id

PREFIX = "user:"
ASKED = {"from": "user"}  # the meta of a prompt that a user wrote
SHARE, AT_LEAST = 0.02, 5
Label = TypeVar("Label", Rating, Comparison)


def named_user(name: str) -> Annotator:
    """The user with an API key of this name. Without commas, so that `--annotators` can name them."""
    return Annotator(PREFIX + " ".join(name.replace(",", " ").split()))


def unnamed_user(secret: str) -> Annotator:
    """The user of a browser that keeps this secret; the name does not tell it, so that nobody else can use it."""
    return Annotator(f"{PREFIX}browser-{content_id('browser', secret)[:10]}")


def is_user(annotator: Annotator) -> bool:
    return annotator.name.startswith(PREFIX)


def of_user(prompt: Prompt) -> bool:
    return prompt.meta.get("from") == ASKED["from"]


def most_weight(given: Mapping[Annotator, int]) -> dict[Annotator, int]:
    """How much each user's labels may weigh together, by what each person's weigh.

    A fiftieth of those of the people who are no users and of the users with less, as far as these count; 5 in any case.
    Where there are users alone, at least as much as those of the user in the middle.
    """
    users = sorted((a for a in given if is_user(a)), key=lambda a: (given[a], a.name))
    others = sum(n for a, n in given.items() if not is_user(a))
    least = AT_LEAST if others or not users else max(AT_LEAST, given[users[(len(users) - 1) // 2]])
    found = {}
    for user in users:
        found[user] = min(given[user], max(least, int(SHARE * others)))
        others += found[user]
    return found


def within_share(snapshot: FeedbackSnapshot) -> FeedbackSnapshot:
    """The same texts with no more labels of a user than may count, in each dimension and kind; of the others all.

    Which of them is told by a hash, so that nobody chooses, and most of the same ones stay as labels are added.
    """
    ratings, comparisons = _within(snapshot.ratings), _within(snapshot.comparisons)
    return FeedbackSnapshot(snapshot.prompts, snapshot.completions, tuple(ratings), tuple(comparisons))


def _within(labels: Sequence[Label]) -> list[Label]:
    kept: list[Label] = []
    by_dimension: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_dimension[label.dimension].append(label)
    for of_dimension in by_dimension.values():
        given: Counter[Annotator] = Counter()
        for x in of_dimension:
            given[x.annotator] += _weight(x)
        most = most_weight(given)
        kept += [x for x in of_dimension if x.annotator not in most]
        for user, left in most.items():
            for x in sorted((x for x in of_dimension if x.annotator == user), key=_place):
                if _weight(x) <= left:
                    kept.append(x)
                    left -= _weight(x)
    return kept


def _weight(label: Rating | Comparison) -> int:
    """What a label counts in learning: a rating 1, a comparison how clear it is."""
    return 1 if isinstance(label, Rating) else max(1, abs(label.preference))


def _place(label: Rating | Comparison) -> str:
    about = (label.completion_id,) if isinstance(label, Rating) else (label.a_id, label.b_id)
    return content_id("share", label.annotator.name, label.dimension, *about)
