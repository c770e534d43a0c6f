"""The judges of a training run: the learned reward and what is checked by rule through the objective, with the known
truth beside it, and the border of a constraint; what a held-out judge is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from trueline.align.judgement import Judge, Judgement
from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.checked import Check
from trueline.loop.project import Project
from trueline.records import Exchange, Prompt
from trueline.reward.base import RewardModel
from trueline.reward.border import Border, fit_border
from trueline.reward.objective import Objective
from trueline.reward.registry import load_reward, new_reward
from trueline.scenarios.base import Graded


def make_judge(
    reward: RewardModel,
    config: Config,
    truth: Callable[[Exchange], Graded] | None,
    border: Border | None = None,
    checks: Mapping[str, Check] | None = None,
) -> Judge:
    """Rewards come from the learned model and from the checks, costs, with a border, from the learned model alone; the
    truth is watched, never learned from. checks: those of `checks_of`; each brings a metric, check_NAME, its mean.
    """
    weights = {d: config.objective.weights.get(d, 0.0) for d in reward.dimensions}
    objective = Objective(weights, config.objective.unfinished_penalty, config.objective.clip, config.objective.checks)

    def judge(exchanges: Sequence[Exchange]) -> Judgement:
        scores = reward.score(exchanges)
        finished = np.array([e.completion.finish == "stop" for e in exchanges])
        checked = {name: check(exchanges) for name, check in (checks or {}).items()}
        rewards = objective.total(scores, finished, [e.completion.text for e in exchanges], checked)
        metrics = {"reward": float(rewards.mean()), "eos_share": float(finished.mean())}
        for i, dimension in enumerate(scores.dimensions):
            metrics[f"reward_{dimension}"] = float(scores.values[:, i].mean())
        metrics |= {f"check_{name}": float(values.mean()) for name, values in checked.items()}
        if scores.std is not None:
            metrics["doubt"] = float(scores.std.mean())
        if truth is not None:
            metrics |= truth_metrics([truth(e) for e in exchanges])
        return Judgement(rewards, metrics, None if border is None else border.cost(scores))

    return judge


def truth_metrics(truths: Sequence[Graded]) -> dict[str, float]:
    """true_<dimension>, and the shares of the verdicts that there are."""
    found = {f"true_{d}": float(np.mean([t.grade(d) for t in truths])) for d in truths[0].dimensions}
    if all(t.safe is not None for t in truths):
        found["unsafe_share"] = float(np.mean([not t.safe for t in truths]))
    if all(t.consistent is not None for t in truths):
        found["consistent_share"] = float(np.mean([t.consistent for t in truths]))
    return found


def learn_border(config: Config, snapshot: FeedbackSnapshot) -> Border:
    """The border of the constraint that is set, with the settings that rewards are learned with."""
    held = config.align.constraint
    return fit_border(lambda: new_reward(config.reward, config.project.dimensions), snapshot, held.dimension, held.bad)


def prompts_to_check(project: Project, reward: Path, judge: Path, seed: int) -> list[Prompt]:
    """Prompts of the validation split for the checks of a held-out judge; the test split is for the report alone.

    None where checks are off or there are fewer than two such prompts; InputError where the judge is no reward model,
    or the one that is trained against.
    """
    settings = project.config.align
    if settings.check_every == 0:
        return []
    if judge.resolve() == reward.resolve():
        raise InputError(f"{judge}: the policy is trained against it, so that it cannot check it; name another judge")
    load_reward(judge)
    found = project.prompts(settings.check_prompts, "validation", seed * 1000 + 800, may_lack=True)
    return found if len(found) > 1 else []
