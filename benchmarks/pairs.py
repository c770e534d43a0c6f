"""Pairs of answers that reward models learn from, here and in TRL's environment: needs what sizes.py needs.

Of equal lengths: a prompt of 64 random words and two answers of 64. Of real lengths: hh_harmless, each of its words
turned into one of the model's by a checksum, so that lengths and shared beginnings (70% of a side) are as people wrote
them.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path

import sizes
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

BATCH, PROMPT_TOKENS, ANSWER_TOKENS, MOST_TOKENS = 16, 64, 64, 512
LENGTHS = ("equal", "real")
DATA = Path(os.environ.get("TRUELINE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
HARMLESS = DATA / "hh_harmless" / "harmless-base.jsonl"
Pair = tuple[list[int], list[int]]


def pairs(lengths: str, name: str, n: int) -> list[Pair]:
    """n pairs of token ids, the chosen answer first."""
    return _equal(name, n) if lengths == "equal" else _real(name, n)


def model(name: str) -> LlamaForSequenceClassification:
    """One score; random weights, the same ones everywhere. The last two ids are padding and end."""
    torch.manual_seed(0)
    settings = sizes.config(name)
    settings.num_labels, settings.pad_token_id = 1, _words(name)
    return LlamaForSequenceClassification(settings).eval()


def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """As that of sizes.py, but with padding and end within the vocabulary, and any other word is w0."""
    size = _words(name)
    words = {f"w{i}": i for i in range(size)} | {"<pad>": size, "<end>": size + 1}
    words_only = Tokenizer(models.WordLevel(words, unk_token="w0"))
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words_only, pad_token="<pad>", eos_token="<end>", unk_token="w0", padding_side="right"
    )


def _words(name: str) -> int:
    return sizes.MODELS[name][0] - 2


def _equal(name: str, n: int) -> list[Pair]:
    size, ends = PROMPT_TOKENS + 2 * ANSWER_TOKENS, PROMPT_TOKENS + ANSWER_TOKENS
    numbers = torch.randint(0, _words(name), (n, size), generator=torch.Generator().manual_seed(1)).tolist()
    return [(row[:ends], row[:PROMPT_TOKENS] + row[ends:]) for row in numbers]


def _real(name: str, n: int) -> list[Pair]:
    """The first n whose sides are both within MOST_TOKENS."""
    found: list[Pair] = []
    with HARMLESS.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            chosen, rejected = (_ids(row[side], _words(name)) for side in ("chosen", "rejected"))
            if max(len(chosen), len(rejected)) <= MOST_TOKENS:
                found.append((chosen, rejected))
            if len(found) == n:
                break
    return found


def _ids(text: str, size: int) -> list[int]:
    return [zlib.crc32(word.encode()) % size for word in re.findall(r"\w+|[^\w\s]", text)]
