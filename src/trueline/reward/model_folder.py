"""What is refused before a saved model folder is opened: anything that could run code or fetch another model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline import durable

WRITTEN = {".json", ".safetensors", ".txt", ".model", ".jinja"}
UNREAD = {"tokenizer.json", "vocab.json"}


def refuse_hostile(folder: Path) -> None:
    """ValueError names the first file of another kind than we write, or a setting that asks for code from elsewhere.

    A pickle runs code when it is read; `auto_map` names Python files; an attention kernel "owner/name" is fetched and
    run; adapter_config.json makes transformers fetch the model that it names (CVE-2025-32434, CVE-2026-5241).
    """
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        name = path.relative_to(folder)
        if path.suffix not in WRITTEN:
            raise ValueError(f"it holds {name}, which Trueline never writes")
        if path.name == "adapter_config.json":
            raise ValueError(f"{name} names another model to fetch")
        if path.suffix == ".json" and path.name not in UNREAD:
            for key, value in _settings(durable.read_json(path)):
                if key in ("auto_map", "custom_pipelines"):
                    raise ValueError(f"{name} asks for code of its own ({key})")
                if "attn_implementation" in key and "/" in str(value):
                    raise ValueError(f"{name} asks for code from elsewhere ({key} is {str(value)!r})")


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key, inner
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _settings(inner)
