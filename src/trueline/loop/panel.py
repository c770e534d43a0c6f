"""The judges of an evaluation: whoever can say which of two answers is better, each with its agreement with people."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from trueline.errors import TruelineError
from trueline.evaluate.judges.agreement import agreement_with_people, verdict_agreement
from trueline.evaluate.judges.base import Judge
from trueline.evaluate.judges.model import INSTRUCTION, model_judge
from trueline.evaluate.judges.people import PeopleJudge
from trueline.evaluate.judges.played import PlayedJudge
from trueline.evaluate.judges.remembered import Remembered
from trueline.evaluate.judges.reward import RewardJudge
from trueline.evaluate.judges.rules import read_rules
from trueline.evaluate.judges.told import ToldJudge
from trueline.evaluate.judges.truth import TruthJudge
from trueline.evaluate.judges.verse import VerseJudge
from trueline.evaluate.statistics import Interval, bootstrap_mean
from trueline.evaluate.story import JudgeRow, Judges
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.answering import held_out_prompts
from trueline.loop.project import Project
from trueline.records import Exchange
from trueline.reward.registry import load_reward

MOST_COMPARED = 200
OF_PROMPTS: Mapping[str, Judge] = {"facts": ToldJudge(), "form": VerseJudge(), "environment": PlayedJudge()}
"""Judges of the prompts whose meta has such a key."""


def judge_of(project: Project, held_out: Path, memory: Path | None = None) -> Judge:
    """Whose word counts: the scenario's known truth where there is one, else the held-out reward model; where that has
    learned nothing, the success of what is played. memory: where it keeps what it has said, so that it says each thing
    once.
    """
    if project.scenario is None and not load_reward(held_out).dimensions:
        return PlayedJudge()
    if project.scenario is None:
        return _reward_judge(held_out, "the held-out reward model", memory)
    dimensions = project.config.project.dimensions
    identity = (project.config.project.scenario, version("trueline"), *dimensions)
    return Remembered.of(TruthJudge(project.scenario, dimensions), identity, memory)


def panel(project: Project, held_out: Path, trained_on: Path, memory: Path | None = None) -> list[Judge]:
    """`judge_of` first; then the held-out reward, the reward that training maximised, the user's rules, the model that
    they name, and what the held-out prompts themselves ask for.
    """
    config = project.config
    found = [judge_of(project, held_out, memory)]
    if project.scenario is not None and load_reward(held_out).dimensions:
        found.append(_reward_judge(held_out, "the held-out reward model", memory))
    if load_reward(trained_on).dimensions:
        found.append(_reward_judge(trained_on, "the reward that training maximised", memory))
    if config.evaluate.rules:
        rules = project.folder / Path(config.evaluate.rules).name
        found.append(Remembered.of(read_rules(rules), [_digest(rules)], memory))
    if config.evaluate.model:
        identity = (config.evaluate.model_url, INSTRUCTION, *config.project.dimensions)
        found.append(Remembered.of(model_judge(config), identity, memory))
    if project.scenario is None:
        asked = held_out_prompts(project)
        asking = [judge for key, judge in OF_PROMPTS.items() if any(key in prompt.meta for prompt in asked)]
        found += [judge for judge in asking if judge not in found]
    return found


def _reward_judge(folder: Path, name: str, memory: Path | None) -> Judge:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    identity = [part for p in files for part in (str(p.relative_to(folder)), _digest(p))]
    return Remembered.of(RewardJudge(load_reward(folder), name), identity, memory)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def heard(
    judges: Sequence[Judge],
    before: Sequence[Exchange],
    after: Sequence[Exchange],
    snapshot: FeedbackSnapshot,
    seed: int,
) -> Judges:
    """What each says of the pairs; a judge that fails keeps its row, with what went wrong, and the others go on.

    Agreement with people is that on at most 200 compared pairs of the test split, those of simulated annotators among
    them: they are called simulated where they are shown.
    """
    known = snapshot.split("test")
    verdicts, rows = np.full((len(judges), len(before)), np.nan), []
    for i, judge in enumerate(judges):
        try:
            verdicts[i] = judge.compare(before, after)
            note = _note(judge, verdicts[i])
            asks = known.comparisons and not isinstance(judge, PeopleJudge)  # people agree with themselves
            people = agreement_with_people(judge, _some(known), seed=seed).clear if asks else None
            rows.append(JudgeRow(judge.name, _wins(verdicts[i], seed), people, note))
        except TruelineError as error:
            rows.append(JudgeRow(judge.name, None, None, str(error)))
    shares, counts = verdict_agreement(verdicts)
    told = tuple(tuple(None if np.isnan(x) else float(x) for x in row) for row in shares)
    return Judges(tuple(rows), told, tuple(tuple(int(n) for n in row) for row in counts))


def _some(snapshot: FeedbackSnapshot) -> FeedbackSnapshot:
    return replace(snapshot, comparisons=snapshot.comparisons[:MOST_COMPARED])


def _wins(verdicts: np.ndarray, seed: int) -> Interval | None:
    given = verdicts[~np.isnan(verdicts)]
    return bootstrap_mean(given, seed=seed) if len(given) > 1 else None


def _note(judge: Judge, verdicts: np.ndarray) -> str:
    if isinstance(judge, PeopleJudge):
        n = int(np.isnan(verdicts).sum())
        return f"{n} pairs wait for people in the queue of `trueline serve`" if n else ""
    failures = getattr(judge, "failures", {})
    return "; ".join(f"{n} pairs: {why}" for why, n in failures.items())
