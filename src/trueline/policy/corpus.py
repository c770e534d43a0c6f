"""One's own text for pretraining: chats and plain text, read from a file, cut into rows of tokens, put in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from trueline.feedback.formats.base import BadRow, RowError, read_bytes, text_of
from trueline.policy.randomness import generator
from trueline.policy.tokenizer import encode_chat
from trueline.records import Message, Prompt, Role, Split, split_of

IGNORED = -100
POOL = 8
ROLES = get_args(Role)


@dataclass(frozen=True)
class Document:
    """A chat, or plain text where there are no messages."""

    messages: tuple[Message, ...] = ()
    text: str = ""

    @property
    def split(self) -> Split:
        """As for prompts, so that what a project later asks as a test was not trained on."""
        return split_of(Prompt(self.messages) if self.messages else Prompt.from_user(self.text))

    @property
    def texts(self) -> list[str]:
        return [m.content for m in self.messages] or [self.text]


@dataclass(frozen=True)
class Row:
    """Token ids, at most as many as the context, and what is learned: the id, or IGNORED. Both of one length."""

    ids: list[int]
    labels: list[int]


def read_corpus(path: Path) -> Iterator[Document | RowError]:
    """JSON lines of `messages` or `text`, or a .txt file, whose paragraphs (up to a blank line) are the documents.

    InputError: the file is missing or empty. A line that cannot be used becomes a RowError.
    """
    data = read_bytes(path)
    if path.suffix == ".txt":
        yield from _paragraphs(path, data)
        return
    for number, raw in enumerate(data.split(b"\n"), 1):
        if raw.strip():
            yield _attempt(path, number, lambda raw=raw: _parse(json.loads(raw.decode("utf-8"))))  # type: ignore[misc]


def _paragraphs(path: Path, data: bytes) -> Iterator[Document | RowError]:
    first, found = 1, list[bytes]()
    for number, line in enumerate([*data.split(b"\n"), b""], 1):
        if line.strip():
            first, found = (first if found else number), [*found, line]
        elif found:
            whole = b"\n".join(found)
            yield _attempt(path, first, lambda whole=whole: Document(text=whole.decode("utf-8").strip()))  # type: ignore[misc]
            found = []


def _attempt(path: Path, number: int, parse: Callable[[], Document]) -> Document | RowError:
    try:
        return parse()
    except BadRow as error:
        return RowError(str(path), number, str(error))
    except UnicodeDecodeError:
        return RowError(str(path), number, "is not UTF-8 text; save the file as UTF-8")
    except json.JSONDecodeError as error:
        return RowError(str(path), number, f"is not valid JSON ({error.msg} at column {error.colno})")


def _parse(row: Any) -> Document:
    if not isinstance(row, dict) or ("messages" not in row and "text" not in row):
        raise BadRow('has neither "messages" nor "text"')
    if "messages" not in row:
        return Document(text=text_of(row, "text"))
    messages = row["messages"]
    if not isinstance(messages, list):
        raise BadRow("messages must be a list of turns")
    for m in messages:
        if not isinstance(m, dict) or m.get("role") not in ROLES or not isinstance(m.get("content"), str):
            raise BadRow("a message needs a role (system, user or assistant) and a content")
    found = tuple(Message(m["role"], m["content"]) for m in messages)
    if not any(m.role == "assistant" and m.content.strip() for m in found):
        raise BadRow("messages hold no assistant turn to learn from")
    return Document(found)


def make_rows(tokenizer: Any, documents: Sequence[Document], context: int) -> list[Row]:
    """Rows of at most `context` tokens. Chats are cut behind assistant turns, plain text anywhere.

    Learned are an assistant's turns with their end token, and all of a plain text.
    """
    rows: list[Row] = []
    for document in documents:
        cut = _chat_rows if document.messages else _text_rows
        rows += cut(tokenizer, document, context)
    return rows


def _text_rows(tokenizer: Any, document: Document, context: int) -> Iterator[Row]:
    ids = tokenizer.encode(document.text, add_special_tokens=False, split_special_tokens=True)
    ids.append(tokenizer.eos_token_id)
    for start in range(0, len(ids), context):
        part = ids[start : start + context]
        if len(part) > 1:
            yield Row(part, [IGNORED, *part[1:]])


def _chat_rows(tokenizer: Any, document: Document, context: int) -> Iterator[Row]:
    row = Row([], [])
    for exchange in _exchanges(tokenizer, document.messages, context):
        if row.ids and len(row.ids) + len(exchange.ids) > context:
            yield row
            row = Row([], [])
        row = Row(row.ids + exchange.ids, row.labels + exchange.labels)
    yield row


def _exchanges(tokenizer: Any, messages: Sequence[Message], context: int) -> Iterator[Row]:
    """The turns up to and with each assistant turn; of one longer than the context the oldest tokens are dropped."""
    ids, labels = list[int](), list[int]()
    for message in messages:
        own = encode_chat(tokenizer, [message], add_generation_prompt=False)
        learned = message.role == "assistant"
        ids, labels = ids + own, labels + ([IGNORED, *own[1:]] if learned else [IGNORED] * len(own))
        if learned:
            yield Row(ids[-context:], labels[-context:])
            ids, labels = [], []


def keyed_order(lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[int]:
    """The steps * batch row numbers of a run. Each pass is shuffled anew; rows of like length share a batch, which
    leaves little padding. What does not fill a batch is left out of its pass."""
    size, found = np.asarray(lengths), list[np.ndarray]()
    while len(found) < steps:
        rng = generator("pretrain", seed, len(found))
        mixed = rng.permutation(len(size))[: len(size) // batch * batch]
        pools = [mixed[i : i + batch * POOL] for i in range(0, len(mixed), batch * POOL)]
        ordered = np.concatenate([pool[np.argsort(size[pool], kind="stable")] for pool in pools]).reshape(-1, batch)
        found += list(ordered[rng.permutation(len(ordered))])
    return [int(i) for row in found[:steps] for i in row]


def collate(rows: Sequence[Row], pad_id: int) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and labels, (B, L) long, padded on the right."""
    width = max(len(r.ids) for r in rows)
    ids, labels = torch.full((len(rows), width), pad_id), torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)], labels[i, : len(row.ids)] = torch.tensor(row.ids), torch.tensor(row.labels)
        mask[i, : len(row.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
