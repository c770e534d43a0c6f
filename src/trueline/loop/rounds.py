"""The rounds of a loop: collect and label → learn a reward → align → evaluate → decide → again.

runs/NAME/run.json                     the loop's settings, fixed when it starts
runs/NAME/round-00/answers.json        the base policy's answers to the held-out prompts
runs/NAME/round-01/snapshot.jsonl      all feedback so far
runs/NAME/round-01/reward, judge       what the teachers' and the judges' labels taught
runs/NAME/round-01/align/              the training run
runs/NAME/round-01/answers.json        this round's answers to the same prompts
runs/NAME/round-01/report/             base policy against this round's
runs/NAME/round-01/decision.json       whether its policy is promoted, and what changes in the next round, and why
runs/NAME/verdicts/                    what each judge has said, so that it is asked once about an answer or a pair
runs/NAME/promoted.json                which policy the loop stands by, and what it came from
runs/NAME/report/                      base policy against that one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.align.journal import Row, read_metrics
from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.budget import Budget
from trueline.loop.deciding import FILE, Decided, decide_round, read_decision, write_decision
from trueline.loop.evaluating import rated
from trueline.loop.finding import facts_of, with_settings
from trueline.loop.fitting import fit_stage
from trueline.loop.lock import only_loop
from trueline.loop.loop_report import VERDICTS, Round, replies_of, report_loop, report_rounds
from trueline.loop.panel import judge_of
from trueline.loop.project import Project, relative
from trueline.loop.provenance import note_head, record
from trueline.loop.red_team import doubts, notes, refuse_inverted_rules
from trueline.loop.run_folder import read_run
from trueline.loop.stages import collect_stage, continue_align, start_align, teaching_parts, versions
from trueline.reward.base import DimensionFit
from trueline.reward.registry import load_reward

Say = Callable[[str], None]


def run_loop(project: Project, folder: Path, rounds: int, say: Say, on_step: Callable[[Row], None]) -> Path:
    """Start a loop, or go on with one; returns the path of its last report.html."""
    if project.config.align.engine == "rllib":
        raise InputError("align.engine: a loop steers our own algorithms, and RLlib has others; set it to local or ray")
    if not (folder / "run.json").exists():
        refuse_inverted_rules(project)
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
    """Do what is left of a loop, with the settings it started with. InputError: another loop runs in the project."""
    run = read_run(folder, "loop")
    project = Project(folder.resolve().parent.parent, Config.model_validate(run["config"]))
    budget = Budget(project.config.loop.labels, project.config.loop.hours)
    for note in notes(project.config):
        say(f"warning: {note}")
    with only_loop(project.folder, folder.name):
        durable.remove_pending(folder)
        finished: list[Round] = []
        for number in range(1, run["rounds"] + 1):
            if finished and (why := _over(finished, budget)):
                say(f"\nThe loop ends after {len(finished)} rounds: {why}")
                break
            say(f"\nRound {number} of {run['rounds']}")
            finished.append(_round(project, folder, number, finished, budget, say, on_step))
        report = report_loop(project, folder, finished)
        record(project, "report", report.parent, {"policy": (_kept(finished) or finished[-1]).policy})
        return report


def _kept(rounds: Sequence[Round]) -> Round | None:
    """The last one whose policy was promoted."""
    return next((r for r in reversed(rounds) if r.decided.facts.promoted), None)


def _over(finished: Sequence[Round], budget: Budget) -> str:
    last = finished[-1].decided
    return last.decision.stop or budget.used(last.facts.labels, sum(r.decided.seconds for r in finished))


def _round(
    project: Project,
    folder: Path,
    number: int,
    before: list[Round],
    budget: Budget,
    say: Say,
    on_step: Callable[[Row], None],
) -> Round:
    started = time.monotonic()
    last = before[-1].decided if before else None
    steered = Project(project.folder, with_settings(project.config, last.settings if last else {}))
    config, seed = steered.config, steered.config.project.seed
    here = folder / f"round-{number:02d}"
    here.mkdir(parents=True, exist_ok=True)
    durable.remove_pending(here)
    base = project.base_policy
    policy = str(before[last.decision.start_from - 1].policy) if last and last.decision.start_from else base
    n = _prompts(config, before, budget)
    learned = before[-1].folder / "reward" if before else None
    snapshot = collect_stage(steered, policy, n, seed, number, here / "snapshot.jsonl", say, learned)
    record(project, "snapshot", here / "snapshot.jsonl", {})
    _say_labels(snapshot, before, say)
    taught, judged = teaching_parts(steered, snapshot)
    reward = fit_stage(taught, config, here / "reward")
    judge = fit_stage(judged, config, here / "judge")
    for name in ("reward", "judge"):
        record(project, "reward", here / name, {"labels": here / "snapshot.jsonl"})
    for name, report in (("reward", reward), ("judge", judge)):
        shown = ", ".join(f"{d} {_held_out(fit)}" for d, fit in report.dimensions.items())
        say(f"  {name} model, held-out accuracy on pairs: {shown}")
    for doubt in doubts(load_reward(here / "reward"), steered, taught):
        say(f"  warning: {doubt}")
    start_align(steered, here / "align", policy, here / "reward", seed * 100 + number, taught, judge=here / "judge")
    trained = continue_align(here / "align", on_step)
    if (here / FILE).exists():
        decided = read_decision(here)
    else:
        judging = judge_of(project, here / "judge", folder / VERDICTS)
        old = replies_of(project, folder, last.decision.start_from if last else 0)
        new_replies = replies_of(project, folder, number)
        facts = facts_of(
            number, config, rated(judging, old), rated(judging, new_replies), new_replies.kl,
            read_metrics(here / "align"), here / "align", snapshot, reward,
        )  # fmt: skip
        decided = decide_round(facts, [r.decided for r in before], project.config, time.monotonic() - started)
        write_decision(here, decided)
    done = Round(number, here, trained, reward, judge, decided)
    report_rounds(project, [*before, done], done, here / "report", f"round {number}")
    record(project, "report", here / "report", {"policy": trained})
    _promote(project, folder, [*before, done], taught, judged)
    _say_decision(decided, say)
    return done


def _prompts(config: Config, before: list[Round], budget: Budget) -> int:
    """As many as the settings say; fewer where the labels that they bring would go beyond the budget, but one."""
    if not before:
        return config.collect.prompts
    asked = config.collect.prompts + sum(r.decided.facts.settings["collect.prompts_later"] for r in before[1:])
    return max(1, budget.prompts(config.collect.prompts_later, before[-1].decided.facts.labels, asked))


def _promote(
    project: Project, folder: Path, rounds: Sequence[Round], taught: FeedbackSnapshot, judged: FeedbackSnapshot
) -> None:
    """promoted.json: the policy that the loop stands by, with the labels and people behind it. A loop that is gone
    through again does not fall back to an earlier one.
    """
    done, file = rounds[-1], folder / "promoted.json"
    if not done.decided.facts.promoted or (file.exists() and durable.read_json(file)["round"] > done.number):
        return
    durable.write_json(
        file,
        {
            "round": done.number,
            "policy": relative(str(done.policy), folder),
            "came_from": [r.number for r in rounds if r.decided.facts.promoted],
            "reward": _behind(taught),
            "judge": _behind(judged),
        },
    )
    record(project, "promoted", file, {"policy": done.policy}, again=True)
    note_head(project, folder)


def _behind(snapshot: FeedbackSnapshot) -> dict[str, Any]:
    return {
        "snapshot_sha256": snapshot.sha256,
        "labels": snapshot.labels,
        "annotators": [a.name for a in snapshot.annotators],
        "simulated": all(a.simulated for a in snapshot.annotators),
    }


def _held_out(fit: DimensionFit) -> str:
    if fit.accuracy is not None:
        return f"{fit.accuracy:.3f}"
    return "of no pairs" if fit.pearson is None else f"of no pairs, r = {fit.pearson:.3f} with ratings"


def _say_labels(snapshot: FeedbackSnapshot, before: Sequence[Round], say: Say) -> None:
    simulated = all(a.simulated for a in snapshot.annotators)
    say(
        f"  labels: {len(snapshot.completions)} answers, {len(snapshot.ratings)} ratings by "
        f"{len(snapshot.annotators)} {'simulated ' if simulated else ''}annotators (snapshot {snapshot.sha256[:12]})"
    )
    if before and snapshot.labels == before[-1].decided.facts.labels:
        say(f"  no new labels since round {before[-1].number}: the reward is learned from the same ones again")


def _say_decision(made: Decided, say: Say) -> None:
    facts = made.facts
    if facts.promoted:
        say(f"  promoted: wins {100 * facts.win_rate.value:.1f}% against the policy before, KL {facts.kl:.1f} nats")
    for gate in made.gates:
        if not gate.passed:
            say(f"  refused by the gate {gate.name!r}: {gate.text}; the policy before stays")
    for check in made.decision.checks:
        found = "nothing to tell it by" if check.found is None else f"{check.found:.3g}"
        say(f"  {check.rule}: expected {check.expected}; found {found}: {'held' if check.held else 'did not hold'}")
    for change in made.decision.changes:
        say(f"  {change.rule}: {change.setting} {_shown(change.before)} -> {_shown(change.after)}")
        say(f"    since {change.evidence}; expects {change.expects}")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
