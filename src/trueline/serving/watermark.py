"""A watermark in what a served model says: the green lists of Kirchenbauer et al. 2023 ("A Watermark for Large Language
Models", Algorithm 2), as transformers makes and finds them.

The token before decides, with a secret key, which quarter of the vocabulary is green; green tokens are made likelier.
Whoever has the key counts the green tokens of a text; whoever has not sees nothing. It marks text, it proves nothing:
rewriting takes it out, and of the key the library's generator hears 32 bits, which patience can search.

Letters: R rows that are drawn from, V vocabulary.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom
from torch import Tensor
from transformers import WatermarkDetector, WatermarkingConfig

from trueline import durable
from trueline.errors import InputError

SCHEME = "kirchenbauer-2023"
RATIO, BIAS = 0.25, 2.0
KEPT_BYTES = 64 << 20  # of green lists that are remembered


@dataclass(frozen=True)
class Watermark:
    """ratio: of the vocabulary that is green; bias: added to the logits of green tokens, nats."""

    key: int = field(repr=False)
    ratio: float = RATIO
    bias: float = BIAS

    @property
    def config(self) -> WatermarkingConfig:
        return WatermarkingConfig(self.ratio, self.bias, self.key, "lefthash", 1)


@dataclass(frozen=True)
class Found:
    """Of `tokens` different pairs of neighbours in a text `green` end in a green token; p: the chance of as many or
    more in a text that nobody marked with this key (the binomial tail)."""

    tokens: int
    green: int
    z: float
    p: float


def new_key(path: Path) -> None:
    """Write a fresh key that its owner alone may read. InputError: there is such a file already."""
    row = {"scheme": SCHEME, "ratio": RATIO, "bias": BIAS, "key": secrets.randbits(62) | 1}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)  # never there for others to read
    except FileExistsError:
        raise InputError(f"{path}: exists already; a key that was used must be kept, so name another file") from None
    with os.fdopen(handle, "w") as file:
        json.dump(row, file)
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> Watermark:
    """InputError: no such file, others may read it, it holds something else; what it holds is never told."""
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path}: others on this machine may read the key; `chmod 600 {path}`")
        row = durable.read_json(path)
        found = Watermark(row["key"], float(row["ratio"]), float(row["bias"]))
    except FileNotFoundError:
        raise InputError(f"{path}: no such key; make one with `trueline watermark new-key {path}`") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is not a key; make one with `trueline watermark new-key FILE`") from None
    if row.get("scheme") != SCHEME or type(found.key) is not int or not (0 < found.ratio < 1 and found.bias > 0):
        raise InputError(f"{path}: is not a key of {SCHEME}; make one with `trueline watermark new-key FILE`")
    return found


class Marker:
    """What a watermark adds to the logits of one model; the green lists of the latest tokens are remembered.

    They are drawn on the CPU wherever the model is: another device's generator would give others, which nobody finds.
    """

    def __init__(self, watermark: Watermark, vocabulary: int, device: torch.device) -> None:
        self.bias, self.vocabulary, self.device = watermark.bias, vocabulary, device
        self.processor = watermark.config.construct_processor(vocabulary, "cpu")
        self.most = max(16, KEPT_BYTES // vocabulary)
        self.kept: OrderedDict[int, Tensor] = OrderedDict()

    def added(self, before: Sequence[int]) -> Tensor:
        """(R, V) nats, from the token before each row's next."""
        return torch.stack([self._green(token) for token in before]) * self.bias

    def _green(self, token: int) -> Tensor:
        if token in self.kept:
            self.kept.move_to_end(token)
            return self.kept[token]
        marked = self.processor(torch.tensor([[token]]), torch.zeros(1, self.vocabulary))[0]
        self.kept[token] = (marked > 0).to(self.device)
        if len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return self.kept[token]


def vocabulary_of(config: Any) -> int:
    return int(config.get_text_config().vocab_size)


def detect(watermark: Watermark, ids: Sequence[int], vocabulary: int) -> Found:
    """ids: a text's tokens, without control tokens and without the prompt; a pair of neighbours counts once, since a
    repeated one says nothing new. InputError: fewer than two tokens.
    """
    if len(ids) < 2:
        raise InputError("the text has fewer than two tokens; give a longer one")
    shape: Any = _Shape(vocabulary)
    detector: Any = WatermarkDetector(shape, "cpu", watermark.config, ignore_repeated_ngrams=True)
    found = detector(torch.tensor([list(ids)]), return_dict=True)
    tokens, green = int(found.num_tokens_scored[0]), int(found.num_green_tokens[0])
    ratio = int(vocabulary * watermark.ratio) / vocabulary
    return Found(tokens, green, float(found.z_score[0]), float(binom.sf(green - 1, tokens, ratio)))


@dataclass(frozen=True)
class _Shape:
    """What the library's detector asks of a model's configuration; -1: no token stands before a text."""

    vocab_size: int
    bos_token_id: int = -1
    is_encoder_decoder: bool = False
