"""The stages of a round. Each writes one file or folder at once; a stage whose result is there is not done again."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from trueline import durable
from trueline.align.algorithms import ALGORITHMS
from trueline.align.constraint import require_samples
from trueline.align.journal import Row
from trueline.align.offline import Unit
from trueline.align.trainer import AlignTask
from trueline.config import Config
from trueline.engines.choose import run as run_on_engine
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.feedback.users import within_share
from trueline.loop.asking import ask_where_unsure
from trueline.loop.checked import checks_of, rules_file
from trueline.loop.collecting import Panels, collect
from trueline.loop.fitting import labels_of
from trueline.loop.judging import learn_border, make_judge, prompts_to_check
from trueline.loop.labelled import labelled_answers, labelled_pairs, prompt_of, prompt_row, unit_of, unit_row
from trueline.loop.people import halves, wait_for_people
from trueline.loop.project import Project, absolute, relative
from trueline.loop.provenance import project_above, record
from trueline.loop.red_team import refuse_inverted_rules, said
from trueline.loop.run_folder import read_run
from trueline.policy.load import load_policy
from trueline.reward.border import Border
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


def collect_stage(
    project: Project,
    policy: str,
    n: int,
    seed: int,
    round_: int,
    target: Path,
    say: Callable[[str], None],
    last_reward: Path | None = None,
) -> FeedbackSnapshot:
    """Answers of `policy` to n new prompts and some held-out ones, labelled by the scenario or by people, who are
    waited for, and asked first where the last reward model is least sure; then a snapshot of all feedback. Where nobody
    labels, of what is there.
    """
    if not target.exists() and project.config.collect.labelled_by != "nobody":
        prompts = project.prompts_to_ask(n, seed, round_)
        loaded = load_policy(policy, trust_remote_code=project.config.policy.trust_remote_code)
        collect(project, loaded, prompts, f"policy:round-{round_ - 1}", seed, round_)
        if project.labelled_by_people:
            if last_reward is not None:
                with FeedbackStore.open(project.store_path) as store:
                    ask_where_unsure(store, load_reward(last_reward))
            wait_for_people(project, say)
    return take_snapshot(project, target)


def teaching_parts(project: Project, snapshot: FeedbackSnapshot) -> tuple[FeedbackSnapshot, FeedbackSnapshot]:
    """The teachers' labels and the judges' labels: other people judge than teach, where there are others; in each part
    no more of a user's than may count.
    """
    if project.labelled_by_people:
        taught, judged = halves(snapshot)
        return within_share(taught), within_share(judged)
    panels = Panels.of(project.config.collect.annotators, project.config.project.seed)
    return (
        snapshot.by_annotators({p.name for p in panels.teachers}),
        snapshot.by_annotators({p.name for p in panels.judges}),
    )


def start_align(
    project: Project,
    folder: Path,
    policy: str,
    reward: Path,
    seed: int,
    snapshot: FeedbackSnapshot | None = None,
    *,
    judge: Path | None = None,
) -> None:
    """Note in run.json, prompts.json, held_out.json and data.json all that `continue_align` needs; nothing where they
    are there.

    snapshot: the labels of an algorithm that samples nothing, and of a constraint; those that the reward was learned
    from where not given. judge: the reward model, learned from other people's labels, that checks the policy on prompts
    of the validation split while it is trained; where there are no such prompts there are no checks.
    """
    if (folder / "run.json").exists():
        return
    settings = project.config.align
    require_samples(settings)
    checks_of(project)  # what is wrong with one is said before anything is written
    refuse_inverted_rules(project)
    inherited = None if project.config.project.red_team else said(Path(policy))
    held_out = [] if judge is None else prompts_to_check(project, reward, judge, seed)

    def labels() -> FeedbackSnapshot:
        return snapshot or FeedbackSnapshot.load(labels_of(reward))

    border = learn_border(project.config, labels()) if settings.constraint.dimension else None
    if not ALGORITHMS[settings.algorithm].on_policy:
        durable.write_json(folder / "data.json", [unit_row(u) for u in _labelled(project, reward, labels())])
    prompts = project.prompts(settings.steps * settings.prompts_per_step, "train", seed * 1000 + 900)
    durable.write_json(folder / "prompts.json", [prompt_row(p) for p in prompts])
    if held_out:
        durable.write_json(folder / "held_out.json", [prompt_row(p) for p in held_out])
    if "rules" in project.config.objective.checks:  # the run ends by the rules that it began with
        durable.write_file(folder / rules_file(project).name, rules_file(project).read_bytes())
    durable.write_json(
        folder / "run.json",
        {
            "kind": "align",
            "policy": relative(policy, folder),
            "reference": relative(project.base_policy, folder),
            "reward": relative(str(reward), folder),
            "judge": relative(str(judge), folder) if held_out else None,
            "border": {border.dimension: [border.slope, border.intercept]} if border else {},
            "seed": seed,
            "config": project.config.model_dump(mode="json"),
            "versions": versions(),
            **({"red_team": inherited} if inherited else {}),
        },
    )


def _labelled(project: Project, reward: Path, snapshot: FeedbackSnapshot) -> list[Unit]:
    config = project.config
    if ALGORITHMS[config.align.algorithm].learns_from == "pairs":
        return labelled_pairs(snapshot, config.objective.weights)
    return labelled_answers(snapshot, make_judge(load_reward(reward), config, None, checks=checks_of(project)))


def continue_align(folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train from where the folder stands until it is done; returns the finished policy's folder."""
    run = read_run(folder, "align")
    config = Config.model_validate(run["config"])
    data = folder / "data.json"
    try:
        prompts = [prompt_of(row) for row in durable.read_json(folder / "prompts.json")]
        units = [unit_of(rows) for rows in durable.read_json(data)] if data.exists() else []
        asked = [prompt_of(row) for row in durable.read_json(folder / "held_out.json")] if run.get("judge") else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: prompts.json, held_out.json or data.json cannot be read ({error}); start the run again"
        ) from error
    here = Project(folder, config)  # the files that checks read are copied into the run
    scenario, checks = here.scenario, checks_of(here)
    border = next((Border(d, *line) for d, line in run.get("border", {}).items()), None)
    reward = load_reward(Path(absolute(run["reward"], folder)))
    judge = make_judge(reward, config, scenario.truth if scenario else None, border, checks)
    held_out = None
    if asked:
        other = load_reward(Path(absolute(run["judge"], folder)))
        held_out = make_judge(other, config, None, checks=checks), asked
    policy, reference = (absolute(run[name], folder) for name in ("policy", "reference"))
    task = AlignTask(policy, reference, prompts, judge, config, run["seed"], units, held_out)
    from trueline.loop.policy_card import leave_card  # it reads runs by what this file says of them

    trained = run_on_engine(task, folder, on_step)
    leave_card(folder)
    if project := project_above(folder, config):
        came = {role: absolute(run[role], folder) for role in ("reward", "policy", "reference")}
        record(
            project, "policy", trained, {"reward": came["reward"], "start": came["policy"], "base": came["reference"]}
        )
    return trained
