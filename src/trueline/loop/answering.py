"""A policy's answers to the held-out prompts, written once, so that every judge and every later round reads the same.

Letters: n prompts, m held-out texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trueline import durable
from trueline.align.answers import Answers, answer, sequence_kl
from trueline.errors import InputError
from trueline.evaluate.record import Surprise
from trueline.loop.project import Project
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy, load_policy
from trueline.policy.scoring import surprise
from trueline.records import Completion, Exchange, Prompt

AT_ONCE = 64
HELD_OUT_TEXTS = 100


@dataclass(frozen=True)
class Replies:
    """One answer to each of n prompts. tokens: (n,) lengths; kl: (n,) log pi - log ref summed over an answer, nats;
    surprise: of m held-out texts, nats and tokens of each (m,), None where there are no such texts.
    """

    policy: str
    reference: str
    exchanges: tuple[Exchange, ...]
    tokens: np.ndarray
    kl: np.ndarray
    surprise: Surprise | None = None

    @property
    def completions(self) -> tuple[Completion, ...]:
        return tuple(e.completion for e in self.exchanges)


def held_out_prompts(project: Project) -> list[Prompt]:
    """Those of every evaluation of a project, so that its policies are compared on the same ones."""
    return project.prompts(project.config.evaluate.prompts, "test", project.config.project.seed * 1000 + 700)


def replies(project: Project, policy: str, reference: str, target: Path | None = None) -> Replies:
    """The policy's answers, with the same noise for every policy; kept in `target`, and read from there the next time.
    The KL is to `reference`, 0 where that is the policy itself.
    """
    prompts = held_out_prompts(project)
    if target is not None and target.exists():
        return _read(target, prompts)
    trust = project.config.policy.trust_remote_code
    loaded = load_policy(policy, trust_remote_code=trust)
    key = ("evaluate", project.config.project.seed)
    parts = [
        answer(loaded, prompts[i : i + AT_ONCE], project.config.policy, 1, loaded.name, key)
        for i in range(0, len(prompts), AT_ONCE)
    ]
    answers = Answers.joined(parts)
    kl = np.zeros(len(prompts))
    if reference != policy:
        other = load_policy(reference, trust_remote_code=trust)
        kl = sequence_kl(loaded, other, answers, project.config.policy.temperature)
    tokens = np.array(answers.lengths)
    found = Replies(policy, reference, tuple(answers.exchanges), tokens, kl, _surprise(project, loaded))
    if target is not None:
        durable.write_json(target, _row(found))
    return found


def _surprise(project: Project, policy: Policy) -> Surprise | None:
    """Of the scenario's held-out good replies; None where there are none."""
    if project.scenario is None or project.scenario.held_out_text is None:
        return None
    texts = project.scenario.held_out_text(HELD_OUT_TEXTS, project.config.project.seed)
    asked = [encode_prompt(policy, e.prompt, project.config.policy.max_prompt_tokens) for e in texts]
    return surprise(policy, asked, [encode_answer(policy, e.completion.text) for e in texts])


def _row(found: Replies) -> dict[str, object]:
    said = [(e.prompt.id, e.completion) for e in found.exchanges]
    return {
        "policy": found.policy,
        "reference": found.reference,
        "answers": [
            {"prompt": prompt, "text": c.text, "source": c.source, "finish": c.finish} for prompt, c in said
        ],
        "tokens": found.tokens.tolist(),
        "kl": found.kl.tolist(),
        "surprise": None if found.surprise is None else [part.tolist() for part in found.surprise],
    }  # fmt: skip


def _read(path: Path, prompts: Sequence[Prompt]) -> Replies:
    try:
        row = durable.read_json(path)
        asked = [a["prompt"] for a in row["answers"]]
        exchanges = tuple(
            Exchange.of(p, a["text"], a["source"], a["finish"]) for p, a in zip(prompts, row["answers"], strict=False)
        )
        both = row["surprise"]
        measured = None if both is None else (np.array(both[0]), np.array(both[1]))
        found = Replies(
            row["policy"], row["reference"], exchanges, np.array(row["tokens"]), np.array(row["kl"]), measured
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, and the answers are made again") from error
    if asked != [p.id for p in prompts]:
        raise InputError(f"{path}: answers other prompts than the project holds out now; evaluate under another name")
    return found
