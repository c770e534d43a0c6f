"""What the README's tables say: a policy before and after on the same titles, with the same noise.

A poem KEEPS THE FORM if it has the right number of lines, each of the right number of characters, and all its even
lines rhyme, on different characters, by `evaluate/judges/verse.py`. The rules of tone are told beside it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from construct import in_form
from convert import NAMES, rhyme_of

from trueline import durable
from trueline.align.answers import Answers, answer, sequence_kl
from trueline.evaluate.judges.verse import FORMS, parts
from trueline.evaluate.judges.verse_chinese import lines_of, reading
from trueline.evaluate.metrics import distinct_interval, repetition
from trueline.evaluate.statistics import Interval, bootstrap_mean, paired_difference, perplexity, wins
from trueline.loop.project import Project
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy, load_policy
from trueline.policy.scoring import surprise
from trueline.records import Exchange, Prompt, Split
from trueline.reward.base import RewardModel
from trueline.reward.registry import load_reward

AT_ONCE = 64
RUN = 4  # characters in a row


@dataclass(frozen=True)
class Side:
    """The n answers of one policy, and what is measured of each, (n,) by name."""

    exchanges: Sequence[Exchange]
    values: dict[str, np.ndarray]

    @property
    def texts(self) -> list[str]:
        return [e.completion.text for e in self.exchanges]


def answers(project: Project, folder: Path | str, prompts: Sequence[Prompt]) -> Answers:
    """Those that `trueline evaluate` judges, for the test split."""
    policy, key = load_policy(str(folder)), ("evaluate", project.config.project.seed)
    return Answers.joined(
        [
            answer(policy, prompts[i : i + AT_ONCE], project.config.policy, 1, policy.name, key)
            for i in range(0, len(prompts), AT_ONCE)
        ]
    )


def kept(exchange: Exchange) -> dict[str, float]:
    form, asked = exchange.prompt.meta["form"], exchange.prompt.meta["rhyme"]
    found = parts(exchange.completion.text, FORMS[form])
    shape = found["lines"] * (found["length"] == 1)
    return {
        "keeps the form": float(in_form(exchange.completion.text, form)),
        "lines and their length": float(shape),
        "rhyme": float(found["rhyme"] == 1),
        "rhyme on the one asked for": float(found["rhyme"] == 1 and rhyme_of(exchange.completion.text) == asked),
        "rules of tone kept": found["tones"],
    }


def nats(policy: Policy, exchanges: Sequence[Exchange]) -> tuple[np.ndarray, np.ndarray]:
    """Of each answer, and its tokens, by a policy that did not write it."""
    asked = [encode_prompt(policy, e.prompt, 64) for e in exchanges]
    return surprise(policy, asked, [encode_answer(policy, e.completion.text) for e in exchanges])


@dataclass(frozen=True)
class Known:
    """The lines that were learned from, and their runs of characters."""

    lines: frozenset[str]
    runs: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Known:
        lines = frozenset(line for text in texts for line in lines_of(text))
        return cls(lines, frozenset(run for line in lines for run in runs(line)))

    def copied(self, text: str) -> tuple[float, float]:
        """The share of its lines, and of its runs, that are known."""
        lines = lines_of(text)
        inside = [run in self.runs for line in lines for run in runs(line)]
        return np.mean([x in self.lines for x in lines] or [0.0]), np.mean(inside or [0.0])


def runs(line: str) -> list[str]:
    return [line[i : i + RUN] for i in range(len(line) - RUN + 1)]


def texts_of(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row["messages"][-1]["content"] if "messages" in row else row["text"] for row in rows]


def rhymes_of(exchanges: Sequence[Exchange]) -> Counter[str]:
    """Of the poems that keep their form, how many rhyme on each of the 14 rhymes."""
    good = (e.completion.text for e in exchanges if in_form(e.completion.text, e.prompt.meta["form"]))
    return Counter(reading(lines_of(text)[1])[-1][0] for text in good)


def effective(counts: Counter[str]) -> float:
    """exp of the entropy: so many equally frequent ones would be as varied."""
    share = np.array(list(counts.values())) / max(1, counts.total())
    return math.exp(float(-(share * np.log(share)).sum())) if counts else 0.0


def side(found: Answers, judge: RewardModel, reader: Policy, known: Known) -> Side:
    exchanges = found.exchanges
    rows = [kept(e) for e in exchanges]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    values["judge"] = judge.score(exchanges).values[:, 0]
    values["nats"], values["tokens"] = nats(reader, exchanges)
    copied = np.array([known.copied(e.completion.text) for e in exchanges])
    values["lines copied"], values[f"runs of {RUN} copied"] = copied[:, 0], copied[:, 1]
    values["repetition"] = repetition([e.completion.text for e in exchanges], 2)
    return Side(exchanges, values)


def both(before: Side, after: Side) -> dict[str, Any]:
    """Each figure before and after, and the paired difference, with 95% intervals over titles."""
    found: dict[str, Any] = {}
    for name in before.values:
        if name not in ("nats", "tokens"):
            found[name] = _three(bootstrap_mean, before.values[name], after.values[name])
    found["perplexity to a reader of other poems"] = [
        asdict(perplexity(s.values["nats"], s.values["tokens"])) for s in (before, after)
    ]
    found["distinct-2"] = [asdict(distinct_interval(s.texts, 2)) for s in (before, after)]
    for form in NAMES:
        at = np.array([e.prompt.meta["form"] == form for e in before.exchanges])
        pair = [s.values["keeps the form"][at] for s in (before, after)]
        found[f"keeps the form: {form}"] = _three(bootstrap_mean, *pair)
    counts = [rhymes_of(s.exchanges) for s in (before, after)]
    found["rhymes used, of 14"] = [len(c) for c in counts]
    found["rhymes, effective"] = [effective(c) for c in counts]
    found["lines said once only"] = [_once(s.texts) for s in (before, after)]
    return found


def judged(before: Side, after: Side) -> dict[str, Any]:
    """How often the judge likes the poem after better: of all titles, and where both poems keep the form."""
    won = wins(before.values["judge"], after.values["judge"])
    kept_both = (before.values["keeps the form"] * after.values["keeps the form"]) == 1
    found = {"judge: won": asdict(bootstrap_mean(won))}
    if kept_both.sum() > 1:
        found["judge: won where both keep the form"] = asdict(bootstrap_mean(won[kept_both]))
        pair = [s.values["judge"][kept_both] for s in (before, after)]
        found["judge: where both keep the form"] = _three(bootstrap_mean, *pair)
    return found


def _once(texts: Sequence[str]) -> float:
    lines = Counter(line for text in texts for line in lines_of(text))
    return sum(n == 1 for n in lines.values()) / max(1, lines.total())


def _three(mean: Callable[[np.ndarray], Interval], a: np.ndarray, b: np.ndarray) -> list[dict[str, float]]:
    return [asdict(mean(a)), asdict(mean(b)), asdict(paired_difference(a, b))]


def samples(before: Side, after: Side, each: int = 2) -> list[dict[str, str]]:
    """The first so many titles of each form, in the order of the evaluation."""
    seen: Counter[str] = Counter()
    found = []
    for a, b in zip(before.exchanges, after.exchanges, strict=True):
        form = a.prompt.meta["form"]
        seen[form] += 1
        if seen[form] <= each:
            asked = a.prompt.messages[0].content
            found.append({"form": form, "prompt": asked, "before": a.completion.text, "after": b.completion.text})
    return found


def measure(folder: Path, run: str, reader: Path, split: Split, n: int) -> dict[str, Any]:
    """Everything of one run, before and after, into runs/RUN/figures-SPLIT.json."""
    project = Project.open(folder)
    prompts = project.prompts(n, split, project.config.project.seed * 1000 + 700)
    policies = folder / "policy", folder / "runs" / run / "policy"
    old, new = (answers(project, policy, prompts) for policy in policies)
    judge = load_reward(folder / "rewards" / "judge")
    other, known = load_policy(str(reader)), Known.of(texts_of(folder / "poems.jsonl"))
    before, after = (side(found, judge, other, known) for found in (old, new))
    kl = sequence_kl(*(load_policy(str(p)) for p in reversed(policies)), new, project.config.policy.temperature)
    found = both(before, after) | judged(before, after)
    found |= {
        "titles": len(prompts),
        "KL, nats an answer": asdict(bootstrap_mean(kl)),
        "samples": samples(before, after),
    }
    durable.write_json(folder / "runs" / run / f"figures-{split}.json", found)
    return found


def told(found: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = []
    for name, value in found.items():
        if name != "samples":
            shown = [_shown(x) for x in (value if isinstance(value, list) else [value])]
            lines.append(f"{name:48} " + "  |  ".join(shown))
    return "\n".join(lines)


def _shown(x: Any) -> str:
    if isinstance(x, dict):
        return f"{x['value']:.3f} [{x['low']:.3f}, {x['high']:.3f}]"
    return f"{x:.3f}" if isinstance(x, float) else str(x)
