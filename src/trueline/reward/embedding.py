"""A frozen Hugging Face encoder as features: mean pooling over real tokens, then length 1; kept on disk.

A text that is longer than the encoder takes is cut from the left: its last tokens are kept. The cache lies under
$TRUELINE_CACHE, else ~/.cache/trueline, in embeddings/<sha256 of the encoder's files>/, where each file holds the
embeddings of some texts under the sha256 of the text. Files are written whole and never changed, so that several
processes can share the folder; it can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from trueline import durable
from trueline.errors import InputError
from trueline.whole_model import require_whole_model

BATCH = 64
MAX_TOKENS = 256
MANY_FILES = 32
EMPTY = "."
_SUFFIX = ".safetensors"
_IDENTITY = ("*.safetensors", "*.json", "*.txt", "*.model")

Encoder = Callable[[Sequence[str]], np.ndarray]


def embeddings(name: str, texts: Sequence[str]) -> np.ndarray:
    """(n, h) float32 of n texts, each worked out once for all. InputError when the encoder cannot be loaded."""
    cache = _cache(name, str(cache_folder()))
    return cache.get(texts, lambda new: encoder(name)(new))


def cache_folder() -> Path:
    home = os.environ.get("TRUELINE_CACHE")
    return (Path(home) if home else Path.home() / ".cache" / "trueline") / "embeddings"


@lru_cache(maxsize=2)
def encoder(name: str) -> Encoder:
    """A function from n texts to (n, h) float32."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from trueline.reward.backbone import positions

    require_whole_model(Path(name), "reward.embedding")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, truncation_side="left")
        model = AutoModel.from_pretrained(name, use_safetensors=True).eval()
    except Exception as error:
        raise _unloadable(name, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    limit = positions(model, MAX_TOKENS)

    def embed(texts: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # neighbours of a length need little padding
        found: dict[int, np.ndarray] = {}
        for i in range(0, len(order), BATCH):
            some = order[i : i + BATCH]
            # Some tokenizers make no token at all of an empty text.
            told = [texts[k] if texts[k].strip() else EMPTY for k in some]
            batch = tokenizer(told, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            found |= zip(some, torch.nn.functional.normalize(mean, dim=-1).numpy(), strict=True)
        return np.stack([found[i] for i in range(len(texts))])

    return embed


class EmbeddingCache:
    """What one encoder made of texts, by the sha256 of the text; in memory and in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[bytes, np.ndarray] = {}
        self._read: set[str] = set()

    def get(self, texts: Sequence[str], encode: Encoder) -> np.ndarray:
        """(n, h), with only the new texts encoded, each once."""
        keys = [hashlib.sha256(t.encode("utf-8", "surrogatepass")).digest() for t in texts]
        if any(k not in self._known for k in keys):
            self._read_new_files()
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._known}
        if missing:
            made = np.asarray(encode(list(missing.values())), dtype=np.float32)
            self._known |= zip(missing, made, strict=True)
            self._write(list(missing))
        return np.stack([self._known[k] for k in keys])

    def _read_new_files(self) -> None:
        for path in sorted(self.folder.glob("*" + _SUFFIX)):
            if path.name in self._read or path.name.startswith(durable.PENDING):
                continue
            self._read.add(path.name)
            # A file that another process has put together with others, or that was cut, is as good as absent.
            with suppress(Exception):
                arrays = load_file(path)
                self._known |= zip(map(bytes, arrays["keys"]), arrays["vectors"], strict=True)

    def _write(self, keys: list[bytes]) -> None:
        """A new file; where there are many, one with all in it instead. A full or read-only disk costs only time."""
        with suppress(OSError):
            old = [p for p in self.folder.glob("*" + _SUFFIX) if not p.name.startswith(durable.PENDING)]
            together = len(old) >= MANY_FILES
            if together:
                self._read_new_files()
                keys = list(self._known)
            arrays = {
                "keys": np.stack([np.frombuffer(k, dtype=np.uint8) for k in keys]),
                "vectors": np.stack([self._known[k] for k in keys]),
            }
            path = self.folder / (hashlib.sha256(b"".join(sorted(keys))).hexdigest() + _SUFFIX)
            durable.write_file(path, save(arrays))
            self._read.add(path.name)
            for done in old if together else []:
                if done != path:
                    done.unlink(missing_ok=True)


@lru_cache(maxsize=4)
def _cache(name: str, root: str) -> EmbeddingCache:
    return EmbeddingCache(Path(root) / _identity(name))


def _identity(name: str) -> str:
    """sha256 of the encoder's files: another model under the same name has another cache."""
    folder = Path(name)
    if not folder.is_dir():
        from transformers.utils.hub import cached_file

        encoder(name)  # fetches what is not there yet
        try:
            folder = Path(str(cached_file(name, "config.json"))).parent
        except OSError as error:
            raise _unloadable(name, error) from error
    digest = hashlib.sha256(f"{MAX_TOKENS} {EMPTY}".encode())
    for path in sorted({p for pattern in _IDENTITY for p in folder.glob(pattern)}):
        digest.update(path.name.encode())
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:32]


def _unloadable(name: str, error: Exception) -> InputError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"reward.embedding: {name!r} cannot be loaded ({first}); name an encoder's folder")
