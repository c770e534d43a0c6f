"""The judge of a training run: the learned reward through the objective, with the known truth beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trueline.align.judgement import Judge, Judgement
from trueline.config import Config
from trueline.records import Exchange
from trueline.reward.base import RewardModel
from trueline.reward.objective import Objective
from trueline.scenarios.base import Truth


def make_judge(reward: RewardModel, config: Config, truth: Callable[[Exchange], Truth] | None) -> Judge:
    """Rewards come from the learned model alone; the truth is watched, never learned from."""
    weights = {d: config.objective.weights.get(d, 0.0) for d in reward.dimensions}
    objective = Objective(weights, config.objective.unfinished_penalty, config.objective.clip)

    def judge(exchanges: Sequence[Exchange]) -> Judgement:
        scores = reward.score(exchanges)
        finished = np.array([e.completion.finish == "stop" for e in exchanges])
        rewards = objective.total(scores, finished, [e.completion.text for e in exchanges])
        metrics = {"reward": float(rewards.mean()), "eos_share": float(finished.mean())}
        for i, dimension in enumerate(scores.dimensions):
            metrics[f"reward_{dimension}"] = float(scores.values[:, i].mean())
        if scores.std is not None:
            metrics["doubt"] = float(scores.std.mean())
        if truth is not None:
            metrics |= truth_metrics([truth(e) for e in exchanges])
        return Judgement(rewards, metrics)

    return judge


def truth_metrics(truths: Sequence[Truth]) -> dict[str, float]:
    return {
        "true_quality": float(np.mean([t.quality for t in truths])),
        "true_safety": float(np.mean([t.safety for t in truths])),
        "true_consistency": float(np.mean([t.consistency for t in truths])),
        "unsafe_share": float(np.mean([not t.safe for t in truths])),
        "consistent_share": float(np.mean([t.consistent for t in truths])),
    }
