"""The reports of a loop: the base policy against a round's, and all that the rounds have to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueline.align.journal import read_metrics
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.answering import Replies, replies
from trueline.loop.deciding import Decided
from trueline.loop.evaluating import TRUTH_NOTE, evaluate, judge_note
from trueline.loop.panel import heard, panel
from trueline.loop.project import Project
from trueline.loop.provenance import HEAD, head_line
from trueline.loop.red_team import doubts, notes
from trueline.loop.stages import teaching_parts, versions
from trueline.loop.telling import Version, story_of
from trueline.reward.base import FitReport
from trueline.reward.registry import load_reward

ANSWERS, VERDICTS = "answers.json", "verdicts"


@dataclass(frozen=True)
class Round:
    """A finished round: its number, folder, policy, how well its two reward models were learned, and the decision."""

    number: int
    folder: Path
    policy: Path
    reward: FitReport
    judge: FitReport
    decided: Decided


def replies_of(project: Project, loop: Path, number: int) -> Replies:
    """The held-out answers of a round's policy, 0: of the base policy."""
    here = loop / f"round-{number:02d}"
    policy = str(here / "align" / "policy") if number else project.base_policy
    return replies(project, policy, project.base_policy, here / ANSWERS)


def report_loop(project: Project, folder: Path, rounds: Sequence[Round]) -> Path:
    """Of the policy that the loop stands by; of the last one where all were refused. Returns report.html."""
    kept = [r for r in rounds if r.decided.facts.promoted]
    shown = kept[-1] if kept else rounds[-1]
    what = f"round {shown.number} of {len(rounds)}" + ("" if kept else ", which was refused like all others")
    return report_rounds(project, rounds, shown, folder / "report", what)


def report_rounds(project: Project, rounds: Sequence[Round], shown: Round, target: Path, what: str) -> Path:
    """The base policy against a round's, with the story so far; nothing where the report is there."""
    if (target / "report.html").exists():
        return target / "report.html"
    last, loop = rounds[-1], rounds[-1].folder.parent
    told = [Version(0, loop / "round-00", replies_of(project, loop, 0))]
    told += [Version(r.number, r.folder, replies_of(project, loop, r.number)) for r in rounds]
    judges = panel(project, last.folder / "judge", last.folder / "reward", loop / VERDICTS)
    before, after = told[0].replies, told[shown.number].replies
    snapshot = FeedbackSnapshot.load(last.folder / "snapshot.jsonl")
    seed, resamples = project.config.project.seed, project.config.evaluate.bootstrap
    found = heard(judges, before.exchanges, after.exchanges, snapshot, seed)
    return evaluate(
        project,
        before,
        after,
        judges[0],
        target,
        title=f"{project.config.project.scenario or project.folder.resolve().name}: base policy against {what}",
        judge_note=TRUTH_NOTE if project.scenario else _judge_note(project, snapshot),
        curves=curves(rounds),
        reward_models=[
            _fit_row(r, name, fit) for r in rounds for name, fit in (("reward", r.reward), ("judge", r.judge))
        ],
        lineage={
            "base policy": project.config.policy.model,
            "algorithm": shown.decided.facts.settings["align.algorithm"],
            "seed": seed,
            "rounds behind it": ", ".join(str(r.number) for r in rounds if r.decided.facts.promoted) or "none",
            "people behind its reward": _people(project, shown),
            "labels (snapshot sha256)": shown.reward.snapshot_sha256,
            **{f"version of {name}": v for name, v in versions().items()},
            HEAD: head_line(project),
        },
        story=story_of(told, judges[0], found, resamples, seed),
        notes=[*notes(project.config), *doubts(load_reward(shown.folder / "reward"), project, snapshot)],
    )


def _people(project: Project, shown: Round) -> str:
    taught, _ = teaching_parts(project, FeedbackSnapshot.load(shown.folder / "snapshot.jsonl"))
    return ", ".join(a.name + (" (simulated)" if a.simulated else "") for a in taught.annotators)


def _judge_note(project: Project, snapshot: FeedbackSnapshot) -> str:
    teachers, judges = ({a.name for a in part.annotators} for part in teaching_parts(project, snapshot))
    return judge_note("judge", teachers, judges)


def curves(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """The steps of all rounds, numbered through."""
    rows: list[dict[str, Any]] = []
    for r in rounds:
        rows += [
            {**row, "round": r.number, "step": len(rows) + i}
            for i, row in enumerate(read_metrics(r.folder / "align"), 1)
        ]
    return rows


def _fit_row(r: Round, name: str, fit: FitReport) -> Mapping[str, Any]:
    return {"round": r.number, "model": name, **asdict(fit)}
