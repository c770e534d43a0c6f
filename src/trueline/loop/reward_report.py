"""A reward model's page and card, from what `reward_checks` measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.evaluate.card import Card, write_card
from trueline.evaluate.colouring import colour
from trueline.evaluate.counterfactual_rates import pass_rates
from trueline.evaluate.held_out import score_answers
from trueline.evaluate.reward_page import Example, RewardPage, write_page
from trueline.evaluate.slices import topics
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.evaluating import FLAG_BELOW
from trueline.loop.reward_checks import Evaluation, Learned
from trueline.loop.stages import read_fit
from trueline.records import Exchange
from trueline.reward.base import FitReport, RewardModel
from trueline.reward.counterfactuals import DEFAULT_TABLE, read_table

FEATURES, UNSAFE_MARK = 10, 2.0


def write_reports(learned: Learned, found: Evaluation, project_folder: Path) -> Path:
    """NAME.evaluation/ with reward.html and reward.json, and NAME.card.md; returns reward.html."""
    test, fit, name = learned.snapshot.split("test"), read_fit(learned.folder), learned.folder.name
    held = score_answers(learned.model, test)
    passes, idle = pass_rates(learned.model, read_table(DEFAULT_TABLE), held.exchanges)
    settings = settings_of(learned.folder)
    card = Card(
        name, settings, learned.snapshot, fit, found.figures, passes, len(found.leaks), audit_findings(project_folder)
    )
    page = RewardPage(
        title=f"Reward model {name}",
        simulated=any(a.simulated for a in learned.snapshot.annotators),
        lineage={"snapshot": learned.snapshot.sha256, **settings},
        figures=found.figures,
        risks=found.risks,
        slices=found.slices,
        topics=topics(list(test.prompts.values()))[1],
        leaks=found.leaks,
        passes=passes,
        idle=idle,
        scores={d: held.values[:, i].tolist() for i, d in enumerate(held.dimensions)},
        telling=_telling(learned.model),
        examples=_examples(learned.model, held.exchanges, held.values, test),
    )
    write_card(card, learned.folder.with_name(f"{name}.card.md"))
    return write_page(page, learned.folder.with_name(f"{name}.evaluation"))


def write_short_card(folder: Path, snapshot: FeedbackSnapshot, fit: FitReport) -> Path:
    """NAME.card.md as it can be told right after a fit."""
    return write_card(Card(folder.name, settings_of(folder), snapshot, fit), folder.with_name(f"{folder.name}.card.md"))


def settings_of(folder: Path) -> dict[str, Any]:
    """kind first, then the settings that model.json keeps; an ensemble's members share theirs."""
    head = durable.read_json(folder / "model.json")
    if "config" in head:
        return _flat(head["kind"], head["config"])
    one = durable.read_json(folder / "member-0" / "model.json")
    return _flat(f"ensemble of {head['members']} {one['kind']} models", one["config"])


def _flat(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    inner = config["transformer"] if "transformer" in kind else {}
    return {"kind": kind, **{k: v for k, v in (config | inner).items() if k not in ("kind", "transformer")}}


def audit_findings(project_folder: Path) -> list[str]:
    """The sentences of the data audit's audit/audit.json, where there is one."""
    try:
        found = durable.read_json(project_folder / "audit" / "audit.json")["findings"]
        return [str(f["sentence"]) for f in found if f.get("severity") != "ok"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _telling(model: RewardModel) -> dict[str, Any]:
    """Of an ensemble that of its first member, who learned from all labels; {} for kinds that cannot tell."""
    from trueline.reward.ensemble import Ensemble
    from trueline.reward.linear import LinearReward, telling

    model = model.members[0] if isinstance(model, Ensemble) else model
    if not isinstance(model, LinearReward):
        return {}
    return {
        d: tuple([(t.name, t.effect) for t in side] for side in sides) for d, sides in telling(model, FEATURES).items()
    }


def _examples(model: RewardModel, exchanges: Sequence[Exchange], values: Any, test: FeedbackSnapshot) -> list[Example]:
    """The answers with the highest and the lowest score in each dimension."""
    if not exchanges:
        return []
    rows = dict.fromkeys(int(i) for column in values.T for i in (column.argmax(), column.argmin()))
    rated_unsafe = {r.completion_id for r in test.ratings if r.dimension == "safety" and (r.value or 5) <= UNSAFE_MARK}
    found = []
    for i in rows:
        e, attribution = exchanges[i], model.explain(exchanges[i])
        scores = dict(zip(model.dimensions, values[i].tolist(), strict=True))
        parts = zip(attribution.dimensions, attribution.parts, strict=True)
        found.append(
            Example(
                e.prompt.text,
                {d: colour(e.completion.text, p) for d, p in parts},
                scores,
                dict(zip(attribution.dimensions, attribution.base, strict=True)),
                e.completion.id in rated_unsafe or scores.get("safety", 0.0) < FLAG_BELOW,
            )
        )
    return found
