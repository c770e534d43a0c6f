"""The shape of a language model: known ones by size, or read from a Hugging Face config.json; how many weights it has.

Letters: L layers, H hidden size, F inner size of the feed-forward, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trueline.errors import InputError

GATED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "olmo2", "smollm3", "phi3")
PLAIN = ("gpt_neox", "gpt2")
_GPT2 = {
    "num_hidden_layers": "n_layer",
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}


@dataclass(frozen=True)
class Model:
    """A dense decoder. matrices: in a feed-forward, 3 where it is gated; positions: learned ones; tied: the head is
    the embedding; bias: of query, key and value alone, as in Qwen2.
    """

    name: str
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_size: int = 0
    matrices: int = 3
    positions: int = 0
    tied: bool = False
    bias: bool = False

    @property
    def query(self) -> int:
        """Width of all queries together."""
        return self.heads * (self.head_size or self.hidden // self.heads)

    @property
    def key(self) -> int:
        """Width of all keys together; the values have the same."""
        return self.kv_heads * (self.head_size or self.hidden // self.heads)

    @property
    def layer_weights(self) -> int:
        """Weights of one layer's matrices: attention and feed-forward."""
        return 2 * self.hidden * (self.query + self.key) + self.matrices * self.hidden * self.inner

    @property
    def head_weights(self) -> int:
        """Weights that turn a hidden state into the vocabulary."""
        return self.hidden * self.vocabulary

    @property
    def weights(self) -> int:
        """All of them, norms and biases too."""
        small = 2 * self.hidden + (self.query + 2 * self.key if self.bias else 0)
        tables = (1 if self.tied else 2) * self.head_weights + self.positions * self.hidden
        return self.layers * (self.layer_weights + small) + tables + self.hidden

    def lora_weights(self, rank: int) -> int:
        """Matrices of a rank beside every linear layer but the head, as `policy.lora` adds them."""
        widths = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key)
        return self.layers * rank * (widths + self.matrices * (self.hidden + self.inner))

    def extra_weights(self, heads: Sequence[str]) -> int:
        """Heads of an algorithm as `policy.heads` makes them: value H to 1, q1 and q2 H to 2 H to V."""
        hidden, words = self.hidden, self.vocabulary
        q = 2 * hidden * (hidden + 1) + (2 * hidden + 1) * words
        return sum(hidden + 1 if name == "value" else q for name in heads)


# From the models' own config.json on the Hugging Face hub.
MODELS = {
    "0.5b": Model("Qwen2.5-0.5B", 24, 896, 4864, 14, 2, 151_936, tied=True, bias=True),
    "1b": Model("Llama-3.2-1B", 16, 2048, 8192, 32, 8, 128_256, tied=True),
    "1.5b": Model("Qwen2.5-1.5B", 28, 1536, 8960, 12, 2, 151_936, tied=True, bias=True),
    "3b": Model("Llama-3.2-3B", 28, 3072, 8192, 24, 8, 128_256, tied=True),
    "7b": Model("Qwen2.5-7B", 28, 3584, 18_944, 28, 4, 152_064, bias=True),
    "llama-2-7b": Model("Llama-2-7B", 32, 4096, 11_008, 32, 32, 32_000),
    "8b": Model("Llama-3.1-8B", 32, 4096, 14_336, 32, 8, 128_256),
    "13b": Model("Llama-2-13B", 40, 5120, 13_824, 40, 40, 32_000),
    "14b": Model("Qwen2.5-14B", 48, 5120, 13_824, 40, 8, 152_064, bias=True),
    "32b": Model("Qwen2.5-32B", 64, 5120, 27_648, 40, 8, 152_064, bias=True),
    "70b": Model("Llama-3.1-70B", 80, 8192, 28_672, 64, 8, 128_256),
}


def find_model(name: str) -> Model:
    """A known size, or a folder with config.json; InputError names the nearest sizes."""
    if found := MODELS.get(name.lower()):
        return found
    folder = Path(name)
    if folder.is_dir():
        return read_model(folder)
    near = get_close_matches(name.lower(), MODELS, n=3, cutoff=0.3) or list(MODELS)
    raise InputError(
        f"--model {name}: neither a known size nor a folder with config.json; nearest sizes: {', '.join(near)}"
    )


def read_model(folder: Path) -> Model:
    """The shape in a model folder's config.json. InputError where its family is not known."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a model folder, or a size such as 7b") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); copy the model folder again") from error
    family = config.get("model_type") if isinstance(config, dict) else None
    if family not in (*GATED, *PLAIN):
        raise InputError(
            f"{path}: model_type {family!r} cannot be planned, only "
            f"{', '.join((*GATED, *PLAIN))}; choose a size near it"
        )
    try:
        return _shape(folder.name, family, config)
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]} is missing; copy the model folder again") from None
    except (TypeError, ValueError):
        raise InputError(f"{path}: a size is not a whole number above 0; copy the model folder again") from None


def _shape(name: str, family: str, config: Mapping[str, Any]) -> Model:
    def size(key: str) -> int:
        value = config[_GPT2[key] if family == "gpt2" and key in _GPT2 else key]
        if not isinstance(value, int) or value < 1:
            raise ValueError(key)
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    plain = family in PLAIN
    return Model(
        name,
        layers=size("num_hidden_layers"),
        hidden=hidden,
        inner=(config.get("n_inner") or 4 * hidden) if family == "gpt2" else size("intermediate_size"),
        heads=heads,
        kv_heads=size("num_key_value_heads") if config.get("num_key_value_heads") else heads,
        vocabulary=size("vocab_size"),
        head_size=config.get("head_dim") or 0,
        matrices=2 if plain else 3,
        positions=size("max_position_embeddings") if family == "gpt2" else 0,
        tied=bool(config.get("tie_word_embeddings", family in ("gpt2", "gemma", "gemma2"))),
        bias=family == "qwen2",
    )
