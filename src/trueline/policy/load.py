"""Load and save a policy: any Hugging Face causal language model with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging as transformers_logging

from trueline.errors import InputError
from trueline.policy.heads import Shape, load_shape
from trueline.whole_model import require_whole_model

transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class Policy:
    """A causal language model and its tokenizer. Dropout is off always, in training too.

    shape: how Q heads change the logits that answers are drawn from; None where the model alone decides.
    """

    model: Any
    tokenizer: Any
    name: str
    shape: Shape | None = None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def pad_id(self) -> int:
        """A token for the padding; masks, not this id, say what is padding, so any id serves."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer: the tokenizer's and the generation config's."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return tuple(dict.fromkeys(int(i) for i in (self.tokenizer.eos_token_id, *ids) if i is not None))


def usual_precision(device: str) -> torch.dtype:
    """fp32 on a CPU, bf16 where an accelerator has it."""
    return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def load_policy(
    name: str | Path, *, trust_remote_code: bool = False, device: str | None = None, dtype: torch.dtype | None = None
) -> Policy:
    """Load a folder or a hub name, in the device's usual precision. InputError says what is wrong."""
    folder = Path(name)
    require_whole_model(folder)
    if not folder.is_dir() and (str(name).startswith(("/", ".", "~")) or len(folder.parts) > 2):
        raise InputError(f"{name}: no such folder; policy.model must be a model folder or a hub name")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or usual_precision(device)
    options = {"trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(name, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
        tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name}: cannot be loaded as a causal language model ({reason}); give a whole model folder"
        ) from error
    model, info = loaded
    if info["missing_keys"] or info["mismatched_keys"]:
        missing = sorted(map(str, (*info["missing_keys"], *info["mismatched_keys"])))[0]
        raise InputError(f"{name}: the weights are incomplete (such as {missing}); copy the model folder again")
    if tokenizer.eos_token_id is None and model.generation_config.eos_token_id is None:
        raise InputError(f"{name}: neither tokenizer nor generation config names an end token; set eos_token")
    return Policy(model.to(device).eval(), tokenizer, str(name), load_shape(folder, torch.device(device)))


def require_room(policy: Policy, prompt: int, answer: int) -> None:
    """InputError where prompt and answer (tokens) are more than the model can read."""
    limit = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and prompt + answer > limit:
        raise InputError(
            f"{policy.name}: reads at most {limit} tokens, but a prompt of {prompt} and an answer of {answer} are "
            "asked for; lower policy.max_prompt_tokens or policy.max_new_tokens"
        )


def save_policy(policy: Policy, folder: Path) -> None:
    """Write weights (safetensors), tokenizer and generation config into an existing folder."""
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


def load_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> Any:
    """As its file says: AutoTokenizer would give a Qwen2 its family's splitting of words, whatever the file has."""
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    declared = get_tokenizer_config(name).get("tokenizer_class")
    whole = declared in ("PreTrainedTokenizerFast", "TokenizersBackend")
    return (PreTrainedTokenizerFast if whole else AutoTokenizer).from_pretrained(name, padding_side="left", **options)
