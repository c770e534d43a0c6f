"""The stages of a round. Each writes one file or folder at once; a stage whose result is there is not done again."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.align.trainer import AlignTask, Row, align
from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.loop.collecting import Panels, collect
from trueline.loop.judging import make_judge
from trueline.loop.project import Project, absolute, relative
from trueline.policy.load import load_policy
from trueline.records import Message, Prompt
from trueline.reward.base import FitReport
from trueline.reward.linear import LinearReward
from trueline.reward.registry import load_reward


def versions() -> dict[str, str]:
    """What a run depends on, for its lineage."""
    names = ("trueline", "torch", "transformers", "scikit-learn", "numpy")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def take_snapshot(project: Project, target: Path) -> FeedbackSnapshot:
    """All feedback of the project as it is now, or as it was when `target` was written."""
    if not target.exists():
        with FeedbackStore.open(project.store_path) as store:
            store.snapshot().save(target)
    return FeedbackSnapshot.load(target)


def collect_stage(project: Project, policy: str, n: int, seed: int, round_: int, target: Path) -> FeedbackSnapshot:
    """Answers of `policy` to n new prompts, labelled where the scenario can, then a snapshot of all feedback."""
    if not target.exists():
        prompts = project.prompts(n, "train", seed * 1000 + round_)
        held_out = project.prompts(max(1, n // 4), "test", seed * 1000 + 500 + round_)
        loaded = load_policy(policy, trust_remote_code=project.config.policy.trust_remote_code)
        collect(project, loaded, [*prompts, *held_out], f"policy:round-{round_ - 1}", seed, round_)
    return take_snapshot(project, target)


def fit_stage(snapshot: FeedbackSnapshot, config: Config, target: Path) -> FitReport:
    """Fit a reward model on a snapshot and save it; the fit's report is kept beside the weights."""
    report = target.with_name(target.name + ".json")
    if not (target.exists() and report.exists()):
        model = LinearReward(config.reward, config.project.dimensions)
        fitted = model.fit(snapshot)
        model.save(target)
        durable.write_json(report, asdict(fitted))
    return read_fit(target)


def read_fit(target: Path) -> FitReport:
    from trueline.reward.base import DimensionFit

    data = durable.read_json(target.with_name(target.name + ".json"))
    return FitReport(
        {name: DimensionFit(**fit) for name, fit in data["dimensions"].items()},
        data["snapshot_sha256"],
        data["seconds"],
    )


def teaching_parts(project: Project, snapshot: FeedbackSnapshot) -> tuple[FeedbackSnapshot, FeedbackSnapshot]:
    """The teachers' labels and the judges' labels of a simulated panel: other people judge than teach."""
    panels = Panels.of(project.config.collect.annotators, project.config.project.seed)
    return (
        snapshot.by_annotators({p.name for p in panels.teachers}),
        snapshot.by_annotators({p.name for p in panels.judges}),
    )


def start_align(project: Project, folder: Path, policy: str, reward: Path, seed: int) -> None:
    """Note in run.json and prompts.jsonl all that `continue_align` needs; nothing where they are there."""
    if (folder / "run.json").exists():
        return
    settings = project.config.align
    prompts = project.prompts(settings.steps * settings.prompts_per_step, "train", seed * 1000 + 900)
    lines = [[[m.role, m.content] for m in p.messages] for p in prompts]
    durable.write_json(folder / "prompts.json", [{"messages": m, "meta": dict(p.meta)} for m, p in zip(lines, prompts, strict=True)])
    durable.write_json(
        folder / "run.json",
        {
            "kind": "align",
            "policy": relative(policy, folder),
            "reference": relative(project.base_policy, folder),
            "reward": relative(str(reward), folder),
            "seed": seed,
            "config": project.config.model_dump(mode="json"),
            "versions": versions(),
        },
    )


def continue_align(folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train from where the folder stands until it is done; returns the finished policy's folder."""
    run = read_run(folder, "align")
    config = Config.model_validate(run["config"])
    try:
        prompts = [
            Prompt(tuple(Message(role, text) for role, text in p["messages"]), p["meta"])
            for p in durable.read_json(folder / "prompts.json")
        ]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder / 'prompts.json'}: cannot be read ({error}); start the run again") from error
    scenario = Project(folder, config).scenario
    judge = make_judge(load_reward(Path(absolute(run["reward"], folder))), config, scenario.truth if scenario else None)
    task = AlignTask(
        absolute(run["policy"], folder), absolute(run["reference"], folder), prompts, judge, config, run["seed"]
    )
    return align(task, folder, on_step)


def read_run(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """run.json of a run; InputError when the folder is not a run, or not of this kind."""
    try:
        run: dict[str, Any] = durable.read_json(folder / "run.json")
        found = run["kind"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: not a run folder (no readable run.json); see `trueline report --help`") from error
    if kind is not None and found != kind:
        raise InputError(f"{folder}: is a run of kind {found!r}, not {kind!r}")
    return run
