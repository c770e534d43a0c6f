"""Pretrain a small Llama on one's own text, with the Hugging Face Trainer.

    OUT-run/run.json          the settings and the text's sha256: only the same command goes on here
    OUT-run/tokenizer/        trained first
    OUT-run/checkpoint-N/     the newest step: weights, optimiser and position, whole or absent
    OUT/                      the finished policy; there when all is done, and OUT-run is gone

The Trainer would keep its optimiser in a pickle and write its checkpoint file by file. Ours is written by a callback
instead, as safetensors and JSON, at once; no pickle is written or loaded. There is no dropout and the order of the
rows is keyed, so a run that was stopped ends in the weights of one that was not (on the same number of threads).
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from trueline import durable
from trueline.errors import InputError
from trueline.feedback.formats.base import RowError
from trueline.policy.corpus import Document, Row, collate, keyed_order, make_rows, read_corpus
from trueline.policy.keeper import Keeper, Progress, held_out_loss
from trueline.policy.load import Policy, save_policy
from trueline.policy.tokenizer import train_tokenizer

HEAD_WIDTH = 32


@dataclass(frozen=True)
class PretrainSettings:
    """Widths in numbers, vocabulary and context in tokens, batch in rows of at most `context` tokens.

    characters: a token is one Chinese character at the most (`train_tokenizer`); first_steps: those of all steps that
    learn from another file, where there is one.
    """

    layers: int = 4
    width: int = 192
    vocabulary: int = 2048
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 2e-3
    context: int = 256
    seed: int = 0
    characters: bool = False
    first_steps: int = 0


@dataclass(frozen=True)
class Pretrained:
    """perplexity: exp of the loss a token over the held-out tenth of the text."""

    folder: Path
    parameters: int
    perplexity: float
    errors: tuple[RowError, ...]


def pretrain(
    file: Path,
    out: Path,
    settings: PretrainSettings,
    say: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    first: Path | None = None,
) -> Pretrained:
    """Train a tokenizer and a model on `file`, or go on where a run with the same settings was stopped.

    The documents of the test split are held out. first: what the first `first_steps` steps learn from, such as facts
    and little else, from which a small model learns to copy. InputError: an unusable file or setting, or `out` exists
    already.
    """
    if (first is None) != (settings.first_steps == 0) or settings.first_steps >= settings.steps:
        raise InputError("--first FILE and --first-steps go together, and --first-steps must be fewer than --steps")
    if settings.width % HEAD_WIDTH:
        raise InputError(f"--width {settings.width}: must be a multiple of {HEAD_WIDTH}, the size of an attention head")
    if out.exists():
        raise InputError(f"{out}: exists already; choose another --out, or delete it")
    learned, held_out, errors = _read(file)
    _check_held_out(file, learned, held_out)
    early = _read(first)[0] if first else []
    run = out.with_name(out.name + "-run")
    sources = {"file": file.name, "sha256": _digest(file), "first_sha256": _digest(first) if first else ""}
    origin = {**sources, **asdict(settings)}
    tokenizer = _stored_tokenizer(run, origin) or _new_tokenizer([*early, *learned], settings)
    rows, held_out_rows = (make_rows(tokenizer, part, settings.context) for part in (learned, held_out))
    early_rows = make_rows(tokenizer, early, settings.context)
    _check_enough(file, rows, settings)
    if first:
        _check_enough(first, early_rows, settings)
    _start_run(run, origin, tokenizer)
    policy = new_policy(tokenizer, settings)
    parameters = sum(p.numel() for p in policy.model.parameters())
    say(
        f"{file}: {len(learned)} documents to learn from, {len(held_out)} held out, {len(errors)} lines left out; "
        f"{sum(len(r.ids) for r in rows):,} tokens in {len(rows)} rows; {parameters:,} parameters"
    )
    history = _train(policy, _ordered(early_rows, rows, settings), held_out_rows, settings, run, on_progress)
    perplexity = math.exp(held_out_loss(policy, held_out_rows))
    _finish(policy, out, {**origin, "perplexity": perplexity, "history": history})
    shutil.rmtree(run)
    return Pretrained(out, parameters, perplexity, errors)


def _read(file: Path) -> tuple[list[Document], list[Document], tuple[RowError, ...]]:
    """What is learned from, the test split, and the lines that are left out."""
    found = list(read_corpus(file))
    errors = tuple(x for x in found if isinstance(x, RowError))
    documents = [x for x in found if isinstance(x, Document)]
    if not documents:
        raise InputError(f"{file}: no line can be used; the first: {errors[0].why}")
    learned = [d for d in documents if d.split != "test"]
    return learned, [d for d in documents if d.split == "test"], errors


def _check_held_out(file: Path, learned: Sequence[Document], held_out: Sequence[Document]) -> None:
    if not learned or not held_out:
        raise InputError(
            f"{file}: {len(learned) + len(held_out)} documents are too few, since about a tenth of them is held out; "
            "give some 50 or more (a line or, in a .txt file, a paragraph is a document)"
        )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _ordered(early: Sequence[Row], rows: Sequence[Row], settings: PretrainSettings) -> list[Row]:
    """The rows of all steps, in their order."""
    found: list[Row] = []
    for part, steps in ((early, settings.first_steps), (rows, settings.steps - settings.first_steps)):
        order = keyed_order([len(r.ids) for r in part], settings.batch, steps, settings.seed) if steps else []
        found += [part[i] for i in order]
    return found


def _stored_tokenizer(run: Path, origin: Mapping[str, Any]) -> Any:
    """The tokenizer of a stopped run; None where there is no run, InputError where it is another one."""
    durable.remove_pending(run.parent)
    if not run.exists():
        return None
    if not (run / "run.json").exists():
        raise InputError(f"{run}: is where the unfinished run goes, and something else is there; choose another --out")
    durable.remove_pending(run)
    before = durable.read_json(run / "run.json")
    for name, value in origin.items():
        if before.get(name) != value:
            raise InputError(
                f"{run}: a stopped run with {name} {before.get(name)}, not {value}; "
                "give the same settings to go on with it, or delete the folder"
            )
    return AutoTokenizer.from_pretrained(run / "tokenizer", padding_side="left")


def _new_tokenizer(documents: Sequence[Document], settings: PretrainSettings) -> Any:
    """With role tokens only where there are chats."""
    texts = (text for d in documents for text in d.texts)
    chat = any(d.messages for d in documents)
    return train_tokenizer(texts, settings.vocabulary, chat=chat, characters=settings.characters)


def _check_enough(file: Path, rows: Sequence[Row], settings: PretrainSettings) -> None:
    if len(rows) < settings.batch:
        raise InputError(
            f"{file}: makes {len(rows)} rows of up to {settings.context} tokens to learn from, "
            f"fewer than --batch {settings.batch}; give more text or lower --batch"
        )


def _start_run(run: Path, origin: Mapping[str, Any], tokenizer: Any) -> None:
    def fill(pending: Path) -> None:
        durable.write_json(pending / "run.json", origin)
        tokenizer.save_pretrained(pending / "tokenizer")

    if not run.exists():
        durable.write_folder(run, fill)


def _finish(policy: Policy, out: Path, notes: Mapping[str, Any]) -> None:
    def fill(pending: Path) -> None:
        save_policy(policy, pending)
        durable.write_json(pending / "pretrain.json", notes)

    durable.write_folder(out, fill)


def new_policy(tokenizer: Any, settings: PretrainSettings) -> Policy:
    """A Llama with random weights, the same for the same seed."""
    heads = settings.width // HEAD_WIDTH
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=round(settings.width * 8 / 3 / 32) * 32,
            num_hidden_layers=settings.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=settings.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return Policy(model, tokenizer, "pretrained")


def _train(
    policy: Policy,
    rows: list[Row],
    held_out: list[Row],
    settings: PretrainSettings,
    run: Path,
    on_progress: Callable[[Progress], None],
) -> list[dict[str, float]]:
    """Train on rows in their order, in place; returns step, loss and held-out loss of every line of progress."""
    every = max(1, min(100, settings.steps // 20))
    keeper = Keeper(policy, held_out, run, every, on_progress)
    trainer = Trainer(
        policy.model,
        _arguments(settings, run),
        data_collator=lambda batch: collate(batch, policy.pad_id),
        train_dataset=rows,  # type: ignore[arg-type]
        callbacks=[keeper],
    )
    trainer.remove_callback(PrinterCallback)
    newest = keeper.newest()
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    policy.model.eval()
    return [row for row in trainer.state.log_history if "held_out_loss" in row]


def _arguments(settings: PretrainSettings, run: Path) -> TrainingArguments:
    """AdamW with a short warm-up, then cosine to a tenth; the rows come in the order they are given."""
    return TrainingArguments(
        output_dir=str(run / "trainer"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        adam_beta2=0.98,
        weight_decay=0.01,
        max_grad_norm=1.0,
        warmup_steps=min(50, settings.steps // 10),
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        train_sampling_strategy="sequential",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        seed=settings.seed,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
