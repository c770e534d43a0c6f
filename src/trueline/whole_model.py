"""What a model's folder must hold before transformers may open it, and whether its weights are those of its card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from trueline.errors import InputError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
CARD, BLOCK = "README.md", "trueline"


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


def weight_hashes(folder: Path) -> dict[str, str]:
    """The sha256 of each file of weights in a folder, by name: safetensors, and GGUF of other programs."""
    hashes = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".gguf") and p.is_file()):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def card_of_model(folder: Path) -> dict[str, Any] | None:
    """Trueline's block in the YAML header of a model's card; None where there is no card of ours.

    InputError: a header that is no YAML.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    from huggingface_hub.repocard import metadata_load

    try:
        found = (metadata_load(path) or {}).get(BLOCK)
    except Exception as error:  # YAML's errors have no common kind with others
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: the header is no YAML ({reason}); write the card again") from error
    return found if isinstance(found, dict) else None


def card_faults(folder: Path) -> list[str]:
    """How the weights of a model's folder differ from those that its card (README.md) speaks of, a line each; none
    where they agree, and where the folder has no card of ours. Reads every byte of the weights.
    """
    try:
        block = card_of_model(folder)
    except InputError as error:
        return [str(error)]
    if block is None:
        return []
    told = block.get("weights")
    if not isinstance(told, dict):
        return [f"{folder / CARD}: names no weights, though it is a card of Trueline's; write the card again"]
    found = weight_hashes(folder)
    return [
        *(f"{folder / name}: is not there, though the card names it" for name in told if name not in found),
        *(
            f"{folder / name}: is not the file that the card speaks of (sha256 {found[name][:12]}, by the card "
            f"{str(sha)[:12]})"
            for name, sha in told.items()
            if name in found and found[name] != sha
        ),
        *(f"{folder / name}: the card does not name it" for name in found if name not in told),
    ]


def require_own_card(folder: Path) -> None:
    """InputError where a model's card speaks of other weights than lie beside it. Passes where there is none."""
    if folder.is_dir() and (faults := card_faults(folder)):
        raise InputError(
            f"{faults[0]}; copy the whole model folder again, or delete {CARD} if the weights were changed on purpose"
        )
