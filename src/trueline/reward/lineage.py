"""Where a reward model lies that somebody names, and the labels that it was learned from.

A model under rewards/ has them beside it. A round of a loop has a snapshot of everybody's labels, of which the reward
learned from some people's; the loop's promoted.json names them. model.json has the sha256 of the right ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.users import within_share


def reward_of(project: Path, named: str) -> Path:
    """A folder under rewards/; of a run the reward that it was trained by, of a loop that of the round it stands by.

    Where there is none of these, the folder under rewards/ where it should be. InputError: not a plain name.
    """
    if Path(named).name != named or named in {"", ".", ".."}:
        raise InputError(f"reward model {named!r}: must be a plain name without slashes")
    plain, run = project / "rewards" / named, project / "runs" / named
    if plain.is_dir() or not (run / "run.json").exists():
        return plain
    note = run / ("promoted.json" if (run / "promoted.json").exists() else "run.json")
    try:
        found = durable.read_json(note)
        return run / f"round-{found['round']:02d}" / "reward" if "round" in found else (run / found["reward"]).resolve()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note}: names no reward model ({error}); name one under rewards/") from error


def labels_behind(folder: Path) -> FeedbackSnapshot:
    """What a saved reward model was learned from. InputError says in a line that it cannot be found."""
    try:
        wanted = str(durable.read_json(folder / "model.json")["fit"]["snapshot_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: does not say which labels it was learned from ({error})") from error
    for found in _candidates(folder):
        if found.sha256 == wanted:
            return found
    raise InputError(f"{folder}: the labels that it was learned from (snapshot {wanted[:12]}) are not beside it")


def _candidates(folder: Path) -> Iterator[FeedbackSnapshot]:
    own, round_ = folder.with_name(f"{folder.name}.snapshot.jsonl"), folder.parent / "snapshot.jsonl"
    if own.exists():
        yield FeedbackSnapshot.load(own)
    if round_.exists():
        whole = FeedbackSnapshot.load(round_)
        yield whole
        for people in _people(folder.parent.parent / "promoted.json"):
            theirs = whole.by_annotators(people)
            yield theirs
            yield within_share(theirs)


def _people(promoted: Path) -> Iterator[set[str]]:
    """Whose labels taught the reward of a loop, and whose its judge."""
    try:
        found = durable.read_json(promoted)
        yield from (set(found[side]["annotators"]) for side in ("reward", "judge"))
    except (OSError, ValueError, KeyError, TypeError):
        return
