"""A model card for a trained policy (Mitchell et al. 2019), in the form of the Hugging Face hub: README.md, whose YAML
header carries the sha256 of the weights that it speaks of, so that a card beside other weights is found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from trueline import durable
from trueline.evaluate.card import cell
from trueline.evaluate.compare import Metric
from trueline.evaluate.wording import label, show
from trueline.whole_model import BLOCK, CARD, weight_hashes

Form = Literal["merged", "adapter", "gguf"]
LIBRARIES: dict[Form, str] = {"merged": "transformers", "adapter": "peft", "gguf": "gguf"}
RELATIONS: dict[Form, str] = {"merged": "finetune", "adapter": "adapter", "gguf": "quantized"}


@dataclass(frozen=True)
class Base:
    """A model that training began from. hub: its name there, "" where it was a folder; weights: sha256 by file."""

    name: str
    hub: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """The feedback that the reward was learned from. people, simulated: how many annotators of each kind."""

    snapshot_sha256: str
    ratings: int
    comparisons: int
    people: int
    simulated: int


@dataclass(frozen=True)
class PolicyCard:
    """
    base: what the project began with; start: what this training began with, which a later round's is not
    labels: None where they are not on record; settings: of the training, by dotted name
    metrics: of an evaluation, by name, and by whose judgement; none where there was no evaluation
    lineage: what else it came from; warnings: of the last training step; shaped: its Q heads shape what it draws
    """

    name: str
    algorithm: str
    base: Base
    start: Base
    labels: Labels | None = None
    domain: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    judge: str = ""
    lineage: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    shaped: bool = False


def write_policy_card(card: PolicyCard, folder: Path, form: Form = "merged") -> Path:
    """README.md of a folder whose weights are written already; the same card and weights give the same bytes."""
    environment = Environment(
        loader=PackageLoader("trueline.evaluate", "templates"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    text = environment.get_template("policy_card.md.jinja").render(
        card=card,
        form=form,
        feedback="simulated" if card.labels and not card.labels.people else "human",
        header=_header(card, form, weight_hashes(folder)),
        label=label,
        show=show,
        kl=card.metrics.get("kl_reference") or card.metrics.get("kl"),
    )
    return durable.write_file(folder / CARD, text.encode())


def _header(card: PolicyCard, form: Form, weights: Mapping[str, str]) -> str:
    """The hub's own fields, and ours under one name, which the hub leaves alone. A license is the user's to choose."""
    from huggingface_hub import ModelCardData

    on_hub = card.start.hub or (card.base.hub if form != "adapter" else "")
    ours: dict[str, Any] = {
        BLOCK: {
            "weights": dict(weights),
            "algorithm": card.algorithm,
            "base": _plain(asdict(card.base)),
            "start": _plain(asdict(card.start)),
            "labels": asdict(card.labels) if card.labels else None,
            "lineage": _plain(card.lineage),
        }
    }
    return ModelCardData(
        library_name=LIBRARIES[form],
        pipeline_tag="text-generation",
        base_model=on_hub or None,
        base_model_relation=RELATIONS[form] if on_hub else None,
        tags=["trueline", "rlhf", card.algorithm],
        **ours,
    ).to_yaml(line_break="\n")


def _plain(value: Any) -> Any:
    """As YAML knows it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
