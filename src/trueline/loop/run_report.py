"""The report of one training run: before and after, by every judge that there is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueline.align.journal import read_metrics
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.judges.people import PeopleJudge
from trueline.evaluate.story import Story
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.loop.answering import replies
from trueline.loop.evaluating import TRUTH_NOTE, evaluate, judge_note
from trueline.loop.fitting import labels_of, read_fit
from trueline.loop.panel import heard, panel
from trueline.loop.project import Project, absolute
from trueline.loop.provenance import HEAD, head_line, record
from trueline.loop.red_team import notes, said, warning
from trueline.loop.run_folder import read_run


def evaluate_run(project: Project, folder: Path, before: str, judge: Path, *, ask_people: bool = False) -> Path:
    """Report what a finished training run changed, into its report/ folder; returns report.html.

    ask_people: its pairs come into the labelling queue, and what people have said of them so far is in the report.
    """
    run = read_run(folder, "align")
    if not (folder / "policy").exists():
        raise InputError(f"{folder}: the run is not finished; go on with `trueline resume {folder}`")
    taught = Path(absolute(run["reward"], folder))
    old, new = replies(project, before, before), replies(project, str(folder / "policy"), before)
    with FeedbackStore.open(project.store_path) as store:
        judges = panel(project, judge, taught)
        if ask_people:
            people = PeopleJudge(store, project.config.labelling.judgements)
            people.ask(old.exchanges, new.exchanges)
            judges.append(people)
        found = heard(judges, old.exchanges, new.exchanges, store.snapshot(), run["seed"])
    report = evaluate(
        project,
        old,
        new,
        judges[0],
        folder / "report",
        title=f"{folder.name}: the policy before and after {run['config']['align']['algorithm'].upper()}",
        judge_note=TRUTH_NOTE if project.scenario else _who_judges(taught, judge),
        curves=read_metrics(folder),
        reward_models=[
            {"model": p.name, **asdict(fit)} for p in dict.fromkeys((taught, judge)) if (fit := read_fit(p)).dimensions
        ],
        lineage=lineage_of(run, before) | {HEAD: head_line(project)},
        story=Story(judges=found),
        notes=_notes(Config.model_validate(run["config"]), folder),
    )
    record(project, "report", report.parent, {"policy": folder / "policy", "judge": judge}, again=True)
    return report


def _notes(config: Config, folder: Path) -> list[str]:
    """A policy that came from a red team's is one, whatever its own project says."""
    reason = said(folder)
    return list(dict.fromkeys([*([warning(reason)] if reason else []), *notes(config)]))


def _who_judges(taught: Path, judge: Path) -> str:
    """The judge's name, and how far its people are those who taught the policy's reward."""
    try:
        if not read_fit(taught).dimensions:
            return f"the reward model {judge.name!r}; the policy was taught by what is checked by rule, not by people"
        teachers, judges = ({a.name for a in FeedbackSnapshot.load(labels_of(m)).annotators} for m in (taught, judge))
    except InputError:
        return f"the reward model {judge.name!r}; who labelled for it is not on record"
    return judge_note(judge.name, teachers, judges)


def lineage_of(run: dict[str, Any], base: str) -> dict[str, Any]:
    """What a policy came from, for its report."""
    return {
        "base policy": base,
        "algorithm": run["config"]["align"]["algorithm"],
        "reward model": run["reward"],
        "seed": run["seed"],
        **{f"version of {name}": v for name, v in run["versions"].items()},
    }
