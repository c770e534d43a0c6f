"""What a model's folder must hold before transformers may open it."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import InputError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def require_whole_model(folder: Path, setting: str = "") -> None:
    """InputError where it is an adapter, which transformers would answer by fetching the model that it names, or half.

    setting: what named it. A name that is no folder here passes: it may be a hub's.
    """
    if not folder.is_dir():
        return
    where = f"{setting}: {folder}" if setting else str(folder)
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{where}: holds adapter_config.json, so it is an adapter to another model and not a whole one; merge it "
            "into its model (peft's merge_and_unload), save that, and name its folder"
        )
    if not (folder / "config.json").exists():
        raise InputError(f"{where}: no config.json, so not a model folder (or one half-written); copy it again")
    if not any((folder / name).exists() for name in WEIGHTS):
        raise InputError(f"{where}: no model.safetensors; Trueline loads safetensors only, convert the weights")
