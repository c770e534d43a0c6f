"""A trained policy as others use it: a Hugging Face folder with its card, the LoRA adapter alone, or a GGUF file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.policy_card import Form, PolicyCard, write_policy_card
from trueline.loop.gguf import convert, find_converter
from trueline.loop.policy_card import card_of_run
from trueline.loop.run_folder import read_run
from trueline.policy.lora import ADAPTER, name_base
from trueline.whole_model import CARD, card_of_model, require_own_card

PLAIN = (
    "{% if messages|length == 1 %}{{ messages[0]['content'] }}{% else %}{% for m in messages %}"
    "{{ m['role']|title }}: {{ m['content'] }}\n\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    "{% endif %}"
)
"""How a base model without a chat template was asked (`policy/chat.py`), so that others ask it alike."""


@dataclass(frozen=True)
class ModelExport:
    """What was written: the folder, its form, what it is called, and how many bytes it has."""

    folder: Path
    form: Form
    name: str
    size: int


def export_model(name: str, policy: Path, out: Path, form: Form = "merged") -> ModelExport:
    """Write the policy of a finished run, policy/ in its folder, into `out`, whole or not at all.

    InputError: not a run's, its weights are not those of its card, no adapter, no converter, `out` is something else.
    RunError: the converter failed.
    """
    run = policy.parent
    if not (run / "run.json").exists():
        raise InputError(f"{policy}: not the policy of a run, of which alone is known what it came from; name a run")
    _require_free(out)
    require_own_card(policy)
    card = replace(card_of_run(run), name=name)
    if form == "adapter":
        _require_adapter(run, policy)
    fills: dict[Form, Callable[[Path], None]] = {
        "merged": lambda pending: _merged(policy, run, pending),
        "adapter": lambda pending: _adapter(policy, card, pending),
        "gguf": _gguf(policy, run, name) if form == "gguf" else lambda pending: None,
    }

    def fill(pending: Path) -> None:
        fills[form](pending)
        write_policy_card(card, pending, form)

    durable.write_folder(out, fill)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return ModelExport(out, form, name, size)


def _require_free(out: Path) -> None:
    """InputError where `out` is there and is neither empty nor a model of ours, which is replaced."""
    if not out.exists() or (out.is_dir() and (not any(out.iterdir()) or card_of_model(out) is not None)):
        return
    raise InputError(f"{out}: holds something else; name a folder that is new, empty or a model exported before")


def _require_adapter(run: Path, policy: Path) -> None:
    if not read_run(run)["config"]["align"]["lora_rank"]:
        raise InputError(
            f"{run}: was trained without LoRA (align.lora_rank is 0), so there is no adapter; leave out --adapter"
        )
    if not (policy / ADAPTER).is_dir():
        raise InputError(f"{policy / ADAPTER}: is not there, the run kept no adapter; leave out --adapter")


def _merged(policy: Path, run: Path, pending: Path) -> None:
    """The weights as they lie; the tokenizer and the generation config say how the policy was asked and drawn from."""
    for path in policy.iterdir():
        if path.is_file() and path.name != CARD:
            shutil.copyfile(path, pending / path.name)
    _write_template(pending)
    _write_generation_config(pending, Config.model_validate(read_run(run)["config"]))


def _write_template(folder: Path) -> None:
    """Where a tokenizer has no chat template, one that gives what the policy was asked with."""
    from trueline.policy.load import load_tokenizer

    tokenizer: Any = load_tokenizer(folder)
    if tokenizer.chat_template:
        return
    begins = tokenizer.bos_token_id is not None and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + PLAIN
    tokenizer.save_pretrained(folder)


def _write_generation_config(folder: Path, config: Config) -> None:
    """`generate` draws as the evaluation did: from the whole distribution at the policy's temperature."""
    from transformers import GenerationConfig

    has_one = (folder / "generation_config.json").exists()
    found = GenerationConfig.from_pretrained(folder) if has_one else GenerationConfig()
    drawing = {"do_sample": True, "temperature": config.policy.temperature, "top_k": 0, "top_p": 1.0}
    found.update(**drawing, max_new_tokens=config.policy.max_new_tokens)
    found._from_model_config = False  # else it counts as made up from config.json, which says less
    found.save_pretrained(folder)


def _adapter(policy: Path, card: PolicyCard, pending: Path) -> None:
    for path in (policy / ADAPTER).iterdir():
        shutil.copyfile(path, pending / path.name)
    name_base(pending, card.start.hub or card.start.name)


def _gguf(policy: Path, run: Path, name: str) -> Callable[[Path], None]:
    """By llama.cpp's converter, from the merged folder. InputError, before anything is written: it is not there."""
    converter = find_converter()

    def fill(pending: Path) -> None:
        whole = pending / "merged"
        whole.mkdir()
        _merged(policy, run, whole)
        convert(converter, whole, pending / f"{name}.gguf", name)
        shutil.rmtree(whole)

    return fill
