"""A Hugging Face encoder or causal language model with a score head a dimension, and its tokenizer.

Letters: n texts, t tokens, h hidden size, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging as transformers_logging

from trueline.errors import InputError
from trueline.records import Exchange
from trueline.whole_model import require_whole_model


@dataclass(frozen=True)
class Backbone:
    """limit: the most tokens it reads. Padding is always on the right, and masked."""

    model: Any
    tokenizer: Any
    limit: int

    @property
    def pad_id(self) -> int:
        """The tokenizer's padding, or any token where it has none that the model knows: masks say what is padding."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None and pad < self.model.get_input_embeddings().num_embeddings else 0

    def encode(self, exchanges: Sequence[Exchange]) -> tuple[list[list[int]], int]:
        """Token ids of each text, and how many texts were cut: at their beginning, so that the answer's end stays."""
        texts = [as_text(self.tokenizer, e) for e in exchanges]
        if not texts:
            return [], 0
        found: list[list[int]] = self.tokenizer(texts, **self._options())["input_ids"]
        cut = [i for i, ids in enumerate(found) if len(ids) > self.limit]
        for i in cut:
            found[i] = self.tokenizer(texts[i], truncation=True, max_length=self.limit, **self._options())["input_ids"]
        return [ids or [self.pad_id] for ids in found], len(cut)

    def _options(self) -> dict[str, Any]:
        """A chat template writes the special tokens itself."""
        return {"add_special_tokens": self.tokenizer.chat_template is None, "verbose": False}

    def tokens_with_places(self, exchange: Exchange) -> tuple[list[int], list[tuple[int, int]]]:
        """As `encode` for one text, with where each token stands in it."""
        options = {**self._options(), "truncation": True, "max_length": self.limit, "return_offsets_mapping": True}
        found = self.tokenizer(as_text(self.tokenizer, exchange), **options)
        return found["input_ids"] or [self.pad_id], found["offset_mapping"] or [(0, 0)]


def as_text(tokenizer: Any, exchange: Exchange) -> str:
    """Conversation and answer by the tokenizer's chat template, or else as "role: content" lines."""
    if tokenizer.chat_template is None:
        return f"{exchange.prompt.text}\nassistant: {exchange.completion.text}"
    turns = [{"role": m.role, "content": m.content} for m in exchange.prompt.messages]
    turns.append({"role": "assistant", "content": exchange.completion.text})
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False))
    except Exception as error:
        roles = ", ".join(t["role"] for t in turns)
        raise InputError(
            f"{tokenizer.name_or_path}: its chat template refuses a conversation of {roles} ({_first_line(error)}); "
            "name another model in reward.transformer.model"
        ) from error


def padded(ids: Sequence[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, t) token ids with padding on the right, and the (n, t) mask of what is real."""
    inputs = torch.full((len(ids), max(map(len, ids))), pad_id)
    mask = torch.zeros_like(inputs)
    for row, tokens in enumerate(ids):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return inputs, mask


def head_scores(model: Any, mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
    """(n, d) from `input_ids` (n, t) or `inputs_embeds` (n, t, h): an encoder's own; a causal LM's at the last token.

    transformers would look for the last token that is not the padding's id, which an answer may well end with.
    """
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not hasattr(core, "score"):
        return core(attention_mask=mask, **inputs).logits  # type: ignore[no-any-return]
    hidden = core.base_model(attention_mask=mask, use_cache=False, **inputs).last_hidden_state
    last = hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    return core.score(last)  # type: ignore[no-any-return]


def load_backbone(name: str | Path, dimensions: Sequence[str], max_tokens: int, *, saved: bool = False) -> Backbone:
    """A folder or hub name in fp32; safetensors only, never code that comes with it. `saved`: its heads are its own.

    InputError says what is wrong.
    """
    if not str(name):
        raise InputError(
            "reward.transformer.model is empty; name a Hugging Face encoder or causal LM (folder or hub name)"
        )
    require_whole_model(Path(name), "reward.transformer.model")
    labels = dict(enumerate(dimensions))
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": saved}
    try:
        with _quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name, num_labels=len(labels), id2label=labels, label2id={v: k for k, v in labels.items()},
                dtype=torch.float32, use_safetensors=True, ignore_mismatched_sizes=True,
                output_loading_info=True, **options,
            )  # fmt: skip
            tokenizer = _load_tokenizer(name, options)
    except Exception as error:
        raise InputError(
            f"reward.transformer.model: {str(name)!r} cannot be loaded ({_first_line(error)}); "
            "name a whole folder, or a hub name, of a model with safetensors"
        ) from error
    lacking = sorted({*map(_key, info["missing_keys"]), *map(_key, info["mismatched_keys"])})
    trunk = [k for k in lacking if saved or (k.startswith(f"{model.base_model_prefix}.") and "pooler" not in k)]
    if trunk:
        raise InputError(f"{name}: the weights are incomplete (such as {trunk[0]}); copy the model folder again")
    if not tokenizer.is_fast:
        raise InputError(f"{name}: its tokenizer does not say where tokens stand; name a model with a tokenizer.json")
    backbone = Backbone(model.eval(), tokenizer, min(positions(model, max_tokens), tokenizer.model_max_length))
    # For others who load the folder; we go by masks. Set late, since an embedding treats its padding row apart, and not
    # where places are counted from it: they would be others when the model is loaded again.
    if not _places_skipped(model):
        model.config.get_text_config().pad_token_id = backbone.pad_id
    return backbone


def new_heads(model: Any) -> None:
    """Weights from N(0, 1 / sqrt(h + 1)), the deviation of Stiennon et al. 2020's reward heads; bias 0."""
    inside = f"{model.base_model_prefix}."
    linear = [m for k, m in model.named_modules() if isinstance(m, torch.nn.Linear) and not k.startswith(inside)]
    torch.nn.init.normal_(linear[-1].weight, std=(linear[-1].in_features + 1) ** -0.5)
    if linear[-1].bias is not None:
        torch.nn.init.zeros_(linear[-1].bias)


def add_lora(model: Any, rank: int) -> Any:
    """Matrices of `rank` beside every linear layer (Hu et al. 2021), and whole heads; they start as no change."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="SEQ_CLS")
    return get_peft_model(model, config)


def positions(model: Any, most: int) -> int:
    """The most tokens that a model has places for, `most` at the most."""
    named = getattr(model.config.get_text_config(), "max_position_embeddings", None) or most
    return min(most, int(named) - _places_skipped(model))


def _places_skipped(model: Any) -> int:
    """RoBERTa and its kin count places from behind the padding's id on, and so have fewer than they name."""
    tables = (m for name, m in model.named_modules() if name.endswith("position_embeddings"))
    return max((m.padding_idx + 1 for m in tables if getattr(m, "padding_idx", None) is not None), default=0)


def _load_tokenizer(name: str | Path, options: dict[str, Any]) -> Any:
    """As its file says: AutoTokenizer would give a Qwen2 its family's splitting of words, whatever the file has."""
    declared = get_tokenizer_config(name, **options).get("tokenizer_class")
    whole = declared in ("PreTrainedTokenizerFast", "TokenizersBackend")
    return (PreTrainedTokenizerFast if whole else AutoTokenizer).from_pretrained(
        name, truncation_side="left", **options
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the report that heads are new, which they are meant to be."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def _key(entry: Any) -> str:
    return str(entry[0] if isinstance(entry, tuple) else entry)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
