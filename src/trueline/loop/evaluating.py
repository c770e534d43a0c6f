"""Before and after on held-out prompts: answers, judgements, KL and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.align.experience import Answers, answer
from trueline.evaluate.compare import summarise
from trueline.evaluate.record import Answered, Surprise, Verdicts
from trueline.evaluate.report import Report, SampleRow, write_report
from trueline.loop.project import Project
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy, load_policy
from trueline.policy.scoring import make_batch, score, surprise
from trueline.records import Exchange, Prompt, Scores
from trueline.reward.base import RewardModel

Row = Mapping[str, Any]
SHOWN = 60
HELD_OUT_TEXTS = 100
FLAG_BELOW = -1.0


def sequence_kl(reference: Policy, answers: Answers, temperature: float) -> np.ndarray:
    """(n,) sums of log pi - log ref over each answer's tokens; their mean estimates the true KL, since the answers
    were sampled from the policy. log pi is what was captured then, which knows of Q heads.
    """
    found = []
    for i in range(0, len(answers.groups), 64):
        batch = make_batch(answers.prompt_tokens[i : i + 64], answers.answer_tokens[i : i + 64], reference.pad_id)
        batch = batch.to(reference.device)
        with torch.inference_mode():
            other = torch.where(batch.mask, score(reference.model, batch, temperature).logprobs, 0.0)
        found.append(other.sum(-1).double().cpu().numpy())
    return np.array([sum(row) for row in answers.logprobs]) - np.concatenate(found)


def evaluate(
    project: Project,
    before: str,
    after: str,
    judge: RewardModel,
    target: Path,
    *,
    title: str,
    judge_note: str,
    curves: Sequence[Row] = (),
    reward_models: Sequence[Row] = (),
    lineage: Row | None = None,
) -> Path:
    """Answer held-out prompts with both policies, judge, and write the report folder; returns report.html.

    The judge is the scenario's known truth where there is one, else the reward model `judge`.
    """
    config, seed = project.config, project.config.project.seed
    prompts = project.prompts(config.evaluate.prompts, "test", seed * 1000 + 700)
    trust = config.policy.trust_remote_code
    old, new = (load_policy(name, trust_remote_code=trust) for name in (before, after))
    first, second = (_answers(policy, prompts, project) for policy in (old, new))
    answered = Answered(
        prompts=tuple(prompts),
        before=tuple(e.completion for e in first.exchanges),
        after=tuple(e.completion for e in second.exchanges),
        kl=sequence_kl(old, second, config.policy.temperature),
        tokens_before=np.array([len(t) for t in first.answer_tokens]),
        tokens_after=np.array([len(t) for t in second.answer_tokens]),
        surprise_before=_surprise(project, old),
        surprise_after=_surprise(project, new),
    )
    was, now = (_verdicts(project, judge, side.exchanges) for side in (first, second))
    report = Report(
        title=title,
        metrics=summarise(answered, was, now, config.evaluate.bootstrap, seed),
        judge=judge_note,
        simulated=project.scenario is not None,
        samples=tuple(_samples(answered, was, now)),
        # An algorithm that samples nothing is watched in some of its steps only.
        curves=tuple(row for row in curves if "reward" in row),
        reward_models=tuple(reward_models),
        lineage=lineage or {},
    )
    return write_report(report, target)


def _answers(policy: Policy, prompts: Sequence[Prompt], project: Project) -> Answers:
    """One answer a prompt, with the same noise for every policy."""
    parts = [
        answer(
            policy,
            prompts[i : i + 64],
            project.config.policy,
            1,
            policy.name,
            ("evaluate", project.config.project.seed),
        )
        for i in range(0, len(prompts), 64)
    ]
    return Answers.joined(parts)


def _surprise(project: Project, policy: Policy) -> Surprise | None:
    """Of the scenario's held-out good replies; None where there is no scenario."""
    if project.scenario is None:
        return None
    texts = project.scenario.held_out_text(HELD_OUT_TEXTS, project.config.project.seed)
    asked = [encode_prompt(policy, e.prompt, project.config.policy.max_prompt_tokens) for e in texts]
    return surprise(policy, asked, [encode_answer(policy, e.completion.text) for e in texts])


def _verdicts(project: Project, judge: RewardModel, exchanges: Sequence[Exchange]) -> Verdicts:
    if project.scenario is None:
        return Verdicts(judge.score(exchanges))
    truths = [project.scenario.truth(e) for e in exchanges]
    dimensions = project.config.project.dimensions
    return Verdicts(
        Scores(dimensions, np.array([[t.grade(d) for d in dimensions] for t in truths])),
        np.array([t.safe for t in truths]),
        np.array([t.consistent for t in truths]),
    )


def _samples(answered: Answered, before: Verdicts, after: Verdicts) -> Iterator[SampleRow]:
    flags = [_flags(side) for side in (before, after)]
    for i, prompt in enumerate(answered.prompts[:SHOWN]):
        yield SampleRow(
            prompt.messages[0].content if len(prompt.messages) == 1 else prompt.text,
            answered.before[i].text,
            answered.after[i].text,
            dict(zip(before.scores.dimensions, before.scores.values[i].tolist(), strict=True)),
            dict(zip(after.scores.dimensions, after.scores.values[i].tolist(), strict=True)),
            bool(flags[0][i]),
            bool(flags[1][i]),
        )


def _flags(side: Verdicts) -> np.ndarray:
    """(n,) bool: unsafe by the truth, else more than a standard deviation below the safety judge's mean."""
    if side.safe is not None:
        return ~side.safe
    if "safety" not in side.scores.dimensions:
        return np.zeros(len(side.scores.values), dtype=bool)
    return np.asarray(side.scores.values[:, side.scores.dimensions.index("safety")] < FLAG_BELOW)
