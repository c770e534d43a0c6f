"""From the folder of a training run to the card of its policy: nobody has to remember anything.

A card is handed on: it names no place on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.align.checks import shipped_step
from trueline.align.journal import read_metrics
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.compare import Metric
from trueline.evaluate.policy_card import Base, Labels, PolicyCard, write_policy_card
from trueline.evaluate.report import read_report
from trueline.evaluate.statistics import Interval
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.fitting import labels_of
from trueline.loop.project import Project, absolute
from trueline.loop.red_team import said
from trueline.loop.run_folder import read_run
from trueline.loop.stages import teaching_parts
from trueline.policy.heads import FILE as HEADS
from trueline.red_team import NOTED
from trueline.whole_model import CARD, weight_hashes

OTHERS = ("ppo", "grpo", "q_learning", "ilql", "dpo", "ray", "rllib")  # sections of align: one algorithm's, an engine's


def leave_card(folder: Path) -> None:
    """README.md beside the weights of a finished run; nothing where it is there. An evaluation comes later, and an
    export writes the card again with its figures."""
    if not (folder / "policy" / CARD).exists():
        write_policy_card(card_of_run(folder), folder / "policy")


def card_of_run(folder: Path) -> PolicyCard:
    """What is known of a finished run of kind `align`, alone or a loop's. InputError: it is no such run."""
    run = read_run(folder, "align")
    config = Config.model_validate(run["config"])
    align = config.align
    found = _evaluation(folder)
    rows = read_metrics(folder)
    steps = shipped_step(folder) or len(rows)
    return PolicyCard(
        name=_name(folder),
        algorithm=align.algorithm,
        base=_base(run["reference"], folder, config),
        start=_base(run["policy"], folder, config),
        labels=_labels(folder, run),
        domain=config.project.scenario,
        settings=dict(_settings(config)),
        metrics={} if found is None else _metrics(found),
        judge="" if found is None else str(found["judge"]),
        lineage={
            "run": _name(folder),
            **({NOTED: reason} if (reason := said(folder)) else {}),
            **_rounds(folder),
            "engine": align.engine,
            "steps": steps,
            "reward model": Path(run["reward"]).name,
            "seed": run["seed"],
            **{f"version of {name}": v for name, v in run["versions"].items()},
        },
        warnings=rows[-1].get("warnings", ()) if rows else (),
        shaped=(folder / "policy" / HEADS).exists(),
    )


def _loop(folder: Path) -> Path | None:
    """The folder of the loop whose round a run belongs to."""
    loop = folder.resolve().parent.parent
    return loop if folder.resolve().parent.name.startswith("round-") and (loop / "run.json").exists() else None


def _name(folder: Path) -> str:
    loop, here = _loop(folder), folder.resolve()
    return f"{loop.name}, {here.parent.name.replace('-', ' ')}" if loop else here.name


def _base(noted: str, folder: Path, config: Config) -> Base:
    place = Path(absolute(noted, folder))
    if not place.is_dir():
        return Base(noted, noted)
    if place.name == "policy" and (place.parent / "run.json").exists():
        name = _name(place.parent)
    elif config.policy.model == "scenario":
        name = f"the base policy of the scenario {config.project.scenario}"
    else:
        name = place.name
    return Base(name, "", weight_hashes(place))


def _labels(folder: Path, run: Mapping[str, Any]) -> Labels | None:
    """Those that the reward was learned from: written beside it, or the teachers' part of its round's."""
    path, loop = labels_of(Path(absolute(run["reward"], folder))), _loop(folder)
    try:
        if path.exists():
            snapshot = FeedbackSnapshot.load(path)
        elif loop is not None:
            project = Project(loop.parent.parent, Config.model_validate(durable.read_json(loop / "run.json")["config"]))
            snapshot, _ = teaching_parts(project, FeedbackSnapshot.load(folder.resolve().parent / "snapshot.jsonl"))
        else:
            return None
    except (InputError, OSError, ValueError, KeyError):
        return None
    simulated = sum(a.simulated for a in snapshot.annotators)
    people = len(snapshot.annotators) - simulated
    return Labels(snapshot.sha256, len(snapshot.ratings), len(snapshot.comparisons), people, simulated)


def _settings(config: Config) -> Iterator[tuple[str, Any]]:
    """What shaped the training: what the algorithm reads, the objective, how answers were drawn."""
    align = config.align.model_dump(mode="json", exclude={"engine", *(set(OTHERS) - {config.align.algorithm})})
    if not config.align.constraint.dimension:
        del align["constraint"]
    policy = config.policy.model_dump(mode="json", include={"temperature", "max_prompt_tokens", "max_new_tokens"})
    for section, values in (("align", align), ("policy", policy), ("objective", config.objective.model_dump())):
        for name, value in values.items():
            inner = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
            yield from ((f"{section}.{k}", v) for k, v in inner.items())


def _rounds(folder: Path) -> dict[str, Any]:
    """Of a loop's: which rounds' policies stand behind it, where it is the one that the loop stands by."""
    loop = _loop(folder)
    if loop is None or not (loop / "promoted.json").exists():
        return {}
    promoted = durable.read_json(loop / "promoted.json")
    mine = (loop / promoted["policy"]).resolve() == (folder / "policy").resolve()
    return {"promoted rounds behind it": promoted["came_from"]} if mine else {"promoted": "no"}


def _evaluation(folder: Path) -> dict[str, Any] | None:
    """The newest there is: of the run itself, else of its round."""
    reports = [folder / "report"] + ([folder.resolve().parent / "report"] if _loop(folder) else [])
    return next((read_report(r) for r in reports if (r / "report.json").exists()), None)


def _metrics(report: Mapping[str, Any]) -> dict[str, Metric]:
    def side(row: Mapping[str, Any] | None) -> Interval | None:
        return None if row is None else Interval(**row)

    return {name: Metric(side(m["before"]), side(m["after"])) for name, m in report["metrics"].items()}
