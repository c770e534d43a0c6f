"""The reward model of a project that learns from checks alone: one that has learned nothing, under rewards/none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from trueline import durable
from trueline.align.algorithms import ALGORITHMS
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.fitting import fit_note
from trueline.loop.project import Project
from trueline.reward.nothing import NoReward

NAME = "none"


def no_reward(project: Project) -> Path:
    """Its folder, made where it is not there. InputError where something in the project needs labels."""
    config = project.config
    if not config.objective.checks:
        raise InputError("--reward none: nothing would teach; name checks in objective.checks, such as { task = 1.0 }")
    if not ALGORITHMS[config.align.algorithm].on_policy or config.align.constraint.dimension:
        what = "align.constraint" if config.align.constraint.dimension else config.align.algorithm
        raise InputError(f"--reward none: {what} needs labels; learn a reward from some with `trueline reward`")
    target = project.reward_folder(NAME)
    if not fit_note(target).exists():
        NoReward().save(target)
        durable.write_json(fit_note(target), asdict(NoReward().fit(FeedbackSnapshot({}, {}, (), ()))))
    return target
