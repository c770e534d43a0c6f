"""A reward model's page and card, from what `reward_checks` measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueline.evaluate.card import Card, write_card
from trueline.evaluate.colouring import colour
from trueline.evaluate.counterfactual_rates import pass_rates
from trueline.evaluate.held_out import score_answers
from trueline.evaluate.record import FLAG_BELOW
from trueline.evaluate.reward_page import Example, RewardPage, write_page
from trueline.evaluate.slices import topics
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.fitting import fit_warnings, read_fit
from trueline.loop.reward_card import audit_findings, card_of, settings_of
from trueline.loop.reward_checks import Evaluation, Learned
from trueline.records import Exchange
from trueline.reward.base import RewardModel
from trueline.reward.counterfactuals import DEFAULT_TABLE, read_table

FEATURES, UNSAFE_MARK = 10, 2.0


def write_reports(learned: Learned, found: Evaluation, project_folder: Path) -> Path:
    """NAME.evaluation/ with reward.html and reward.json, and NAME.card.md; returns reward.html."""
    test, fit, name = learned.snapshot.split("test"), read_fit(learned.folder), learned.folder.name
    held = score_answers(learned.model, test)
    passes, idle = pass_rates(learned.model, read_table(DEFAULT_TABLE), held.exchanges)
    settings = settings_of(learned.folder)
    audit, warnings = audit_findings(project_folder), fit_warnings(learned.folder)
    card = Card(name, settings, learned.snapshot, fit, found.figures, passes, len(found.leaks), audit, warnings)
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
    write_card(card, card_of(learned.folder))
    return write_page(page, learned.folder.with_name(f"{name}.evaluation"))


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
