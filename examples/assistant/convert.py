"""SGD's dialogues as Trueline reads them: chats to pretrain on, and prompts to answer.

Each line of the source is {"id", "turns": [["USER", text], ["SYSTEM", text], ...]} (DSTC8 Schema-Guided Dialogue).
A dialogue gives one chat, and one prompt: its beginning up to the first, second, third or fourth user turn. Which
prompts are for training and which for testing is told by the first user turn, here as everywhere in Trueline, and
`trueline pretrain` holds out the same dialogues, so that the policy never read the answers it is asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROLES = {"USER": "user", "SYSTEM": "assistant"}
LONGEST = 4


def messages(turns: list[list[str]]) -> list[dict[str, str]]:
    return [{"role": ROLES[speaker], "content": text} for speaker, text in turns]


def prompt(chat: list[dict[str, str]], place: int) -> list[dict[str, str]]:
    """The beginning of a chat that ends with a user turn; dialogues take turns at where."""
    asked = [i for i, m in enumerate(chat) if m["role"] == "user" and i + 1 < len(chat)]
    return chat[: asked[place % min(LONGEST, len(asked))] + 1]


def convert(source: Path, folder: Path) -> None:
    """Write dialogues.jsonl and prompts.jsonl."""
    chats = [messages(json.loads(line)["turns"]) for line in source.read_text("utf-8").splitlines()]
    _write(folder / "dialogues.jsonl", [{"messages": chat} for chat in chats])
    _write(folder / "prompts.jsonl", [{"messages": prompt(chat, i)} for i, chat in enumerate(chats)])


def _write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
