"""The rounds of a loop: collect and label → learn a reward → align → evaluate → again.

runs/NAME/run.json                     the loop's settings, fixed when it starts
runs/NAME/round-01/snapshot.jsonl      all feedback so far
runs/NAME/round-01/reward, judge       what the teachers' and the judges' labels taught
runs/NAME/round-01/align/              the training run
runs/NAME/round-01/report/             base policy against this round's
runs/NAME/report/                      base policy against the last round's
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.align.journal import Row, read_metrics
from trueline.config import Config
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.evaluating import evaluate
from trueline.loop.project import Project
from trueline.loop.stages import (
    TRUTH_NOTE,
    collect_stage,
    continue_align,
    fit_stage,
    judge_note,
    read_run,
    start_align,
    teaching_parts,
    versions,
)
from trueline.reward.base import FitReport
from trueline.reward.registry import load_reward

Say = Callable[[str], None]


@dataclass(frozen=True)
class Round:
    """What a finished round left: its number, folder, policy and how well its two reward models were learned."""

    number: int
    folder: Path
    policy: Path
    reward: FitReport
    judge: FitReport


def run_loop(project: Project, folder: Path, rounds: int, say: Say, on_step: Callable[[Row], None]) -> Path:
    """Start a loop, or go on with one; returns the path of its last report.html."""
    if not (folder / "run.json").exists():
        durable.write_json(
            folder / "run.json",
            {
                "kind": "loop",
                "rounds": rounds,
                "config": project.config.model_dump(mode="json"),
                "versions": versions(),
            },
        )
    return continue_loop(folder, say, on_step)


def continue_loop(folder: Path, say: Say, on_step: Callable[[Row], None]) -> Path:
    """Do what is left of a loop, with the settings it started with."""
    run = read_run(folder, "loop")
    project = Project(folder.resolve().parent.parent, Config.model_validate(run["config"]))
    durable.remove_pending(folder)
    finished: list[Round] = []
    for number in range(1, run["rounds"] + 1):
        say(f"\nRound {number} of {run['rounds']}")
        finished.append(_round(project, folder, number, finished, say, on_step))
    return _report(project, finished, folder / "report", f"{len(finished)} rounds")


def _round(
    project: Project, folder: Path, number: int, before: list[Round], say: Say, on_step: Callable[[Row], None]
) -> Round:
    config, seed = project.config, project.config.project.seed
    here = folder / f"round-{number:02d}"
    here.mkdir(parents=True, exist_ok=True)
    durable.remove_pending(here)
    policy = str(before[-1].policy) if before else project.base_policy
    n = config.collect.prompts if number == 1 else config.collect.prompts_later
    learned = before[-1].folder / "reward" if before else None
    snapshot = collect_stage(project, policy, n, seed, number, here / "snapshot.jsonl", say, learned)
    simulated = all(a.simulated for a in snapshot.annotators)
    say(
        f"  labels: {len(snapshot.completions)} answers, {len(snapshot.ratings)} ratings by "
        f"{len(snapshot.annotators)} {'simulated ' if simulated else ''}annotators (snapshot {snapshot.sha256[:12]})"
    )
    taught, judged = teaching_parts(project, snapshot)
    reward = fit_stage(taught, config, here / "reward")
    judge = fit_stage(judged, config, here / "judge")
    for name, report in (("reward", reward), ("judge", judge)):
        shown = ", ".join(f"{d} {fit.accuracy or float('nan'):.3f}" for d, fit in report.dimensions.items())
        say(f"  {name} model, held-out accuracy on pairs: {shown}")
    start_align(project, here / "align", policy, here / "reward", seed * 100 + number, taught)
    trained = continue_align(here / "align", on_step)
    done = Round(number, here, trained, reward, judge)
    _report(project, [*before, done], here / "report", f"round {number}")
    return done


def _report(project: Project, rounds: list[Round], target: Path, what: str) -> Path:
    if (target / "report.html").exists():
        return target / "report.html"
    last = rounds[-1]
    return evaluate(
        project,
        project.base_policy,
        str(last.policy),
        load_reward(last.folder / "judge"),
        target,
        title=f"{project.config.project.scenario or project.folder.resolve().name}: base policy against {what}",
        judge_note=TRUTH_NOTE if project.scenario else _judge_note(project, last),
        curves=curves(rounds),
        reward_models=[
            _fit_row(r, name, fit) for r in rounds for name, fit in (("reward", r.reward), ("judge", r.judge))
        ],
        lineage={
            "base policy": project.config.policy.model,
            "algorithm": project.config.align.algorithm,
            "seed": project.config.project.seed,
            "labels (snapshot sha256)": last.reward.snapshot_sha256,
            **{f"version of {name}": v for name, v in versions().items()},
        },
    )


def _judge_note(project: Project, last: Round) -> str:
    parts = teaching_parts(project, FeedbackSnapshot.load(last.folder / "snapshot.jsonl"))
    teachers, judges = ({a.name for a in part.annotators} for part in parts)
    return judge_note("judge", teachers, judges)


def curves(rounds: list[Round]) -> list[dict[str, Any]]:
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
