"""Before and after on held-out prompts: answers, judgements, KL and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline import durable
from trueline.align.experience import Answers, answer
from trueline.config import PolicyConfig
from trueline.evaluate.compare import summarise
from trueline.evaluate.record import Answered
from trueline.evaluate.report import Report, SampleRow, write_report
from trueline.loop.project import Project
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy, load_policy
from trueline.policy.scoring import make_batch, perplexity, score
from trueline.records import Completion, Exchange, Prompt, Scores
from trueline.reward.base import RewardModel

SHOWN = 60


def sequence_kl(policy: Policy, reference: Policy, answers: Answers, temperature: float) -> np.ndarray:
    """(n,) sums of log pi - log ref over each answer's tokens; their mean estimates the true KL, since the answers
    were sampled from the policy."""
    found = []
    for i in range(0, len(answers.groups), 64):
        batch = make_batch(answers.prompt_tokens[i : i + 64], answers.answer_tokens[i : i + 64], policy.pad_id)
        batch = batch.to(policy.device)
        with torch.inference_mode():
            own = score(policy.model, batch, temperature).logprobs
            other = score(reference.model, batch, temperature).logprobs
        found.append(torch.where(batch.mask, own - other, 0.0).sum(-1).double().cpu().numpy())
    return np.concatenate(found)


def evaluate(
    project: Project,
    before: str,
    after: str,
    judge: RewardModel,
    target: Path,
    *,
    title: str,
    judge_note: str,
    curves: Sequence[Mapping[str, Any]] = (),
    reward_models: Sequence[Mapping[str, Any]] = (),
    lineage: Mapping[str, Any] | None = None,
) -> Path:
    """Answer held-out prompts with both policies, judge, and write the report folder; returns report.html."""
    if (target / "report.html").exists():
        return target / "report.html"
    config, seed = project.config, project.config.project.seed
    prompts = project.prompts(config.evaluate.prompts, "test", seed * 1000 + 700)
    trust = config.policy.trust_remote_code
    old, new = load_policy(before, trust_remote_code=trust), load_policy(after, trust_remote_code=trust)
    first, second = (_answers(p, prompts, config.policy, seed) for p in (old, new))
    answered = Answered(
        prompts=tuple(prompts),
        before=_completions(first),
        after=_completions(second),
        kl=sequence_kl(new, old, second, config.policy.temperature),
        tokens_before=np.array([len(t) for t in first.answer_tokens]),
        tokens_after=np.array([len(t) for t in second.answer_tokens]),
        perplexity_before=_perplexity(project, old),
        perplexity_after=_perplexity(project, new),
    )
    judged = [judge.score(a.exchanges) for a in (first, second)]
    truths = _truths(project, first.exchanges, second.exchanges)
    if truths is not None:
        judged = [_true_scores(t) for t in truths]
    safe = [np.array([t.safe for t in side]) for side in truths] if truths else [None, None]
    consistent = [np.array([t.consistent for t in side]) for side in truths] if truths else [None, None]
    metrics = summarise(answered, judged[0], judged[1], *safe, *consistent, config.evaluate.bootstrap, seed)
    report = Report(
        title=title,
        metrics=metrics,
        judge=judge_note,
        simulated=project.scenario is not None,
        notes=(),
        samples=_samples(answered, judged, safe),
        curves=tuple(dict(row) for row in curves),
        reward_models=tuple(dict(m) for m in reward_models),
        lineage=dict(lineage or {}),
    )
    return write_report(report, target)
