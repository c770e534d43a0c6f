"""LoRA (Hu et al. 2021) through peft: small matrices are trained beside frozen weights, which are the reference too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from trueline import durable
from trueline.policy.load import Policy

SEED = 0
ADAPTER = "adapter"
"""The folder inside a trained policy's that keeps its matrices apart, which merging would lose."""


def add_lora(policy: Policy, rank: int) -> Policy:
    """The policy with matrices of `rank` beside every linear layer but the head; they start as no change at all."""
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return replace(policy, model=get_peft_model(policy.model, config).eval())


def merge_lora(policy: Policy) -> Policy:
    """The same policy as an ordinary model, the matrices added into the weights; nothing where there are none."""
    if not hasattr(policy.model, "merge_and_unload"):
        return policy
    return replace(policy, model=policy.model.merge_and_unload())


def save_adapter(policy: Policy, folder: Path) -> None:
    """The matrices alone, as peft reads them, into a new folder that does not tell where their base lay."""
    model = policy.model
    model.save_pretrained(folder, save_embedding_layers=False)  # "auto" would ask the hub about the base model
    (folder / "README.md").unlink(missing_ok=True)  # peft's, with nothing filled in
    name_base(folder, Path(policy.name).name)


def name_base(folder: Path, name: str) -> None:
    """Say in an adapter's adapter_config.json what it belongs to."""
    path = folder / "adapter_config.json"
    durable.write_json(path, {**durable.read_json(path), "base_model_name_or_path": name})


def without_lora(policy: Policy) -> Policy:
    """The policy as it was before `add_lora`, over the same weights: a reference that costs no memory."""
    return replace(policy, model=_Disabled(policy.model))


@dataclass(eq=False)
class _Disabled:
    """A model with its adapters off for the time of a call."""

    model: Any

    def __call__(self, **inputs: Any) -> Any:
        with self.model.disable_adapter():
            return self.model(**inputs)

    @property
    def base_model(self) -> Any:
        return self

    def get_output_embeddings(self) -> None:
        """Its trunk cannot be called apart, so that its head is not plain."""
