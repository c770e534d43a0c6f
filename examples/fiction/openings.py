"""The policy as it ends its stories, and openings of stories for it to go on with.

The model begins a story with the token <s> and never writes </s>: after its last sentence comes the next story's <s>.
So <s> is named as an end token beside </s>. Nothing else of the model is changed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from itertools import count, islice, product
from pathlib import Path

from trueline.align.answers import answer
from trueline.config import PolicyConfig
from trueline.errors import InputError
from trueline.policy.load import load_policy
from trueline.records import Prompt

WHO = ("girl", "boy", "dog", "cat", "bird", "bear", "fish", "duck")
NAMES = ("Lily", "Tom", "Mia", "Ben", "Sue", "Tim", "Anna", "Max", "Lucy", "Sam")
FIRST = [f"Once upon a time, there was a little {who} named {name}." for name, who in product(NAMES, WHO)]
SPLITS = {"train": 400, "validation": 100, "test": 300}
SENTENCES = 6  # of the model's own, after the first one
WRITING = PolicyConfig(max_prompt_tokens=64, max_new_tokens=220, temperature=0.8)
_SENTENCE = re.compile(r'[^.!?]*[.!?]+["”]?\s*')


def copy_policy(model: Path, target: Path) -> None:
    """The model's folder with <s> as an end token."""
    shutil.copytree(model, target, copy_function=shutil.copyfile)
    place = target / "generation_config.json"
    settings = json.loads(place.read_text("utf-8"))
    settings["eos_token_id"] = [settings["eos_token_id"], settings["bos_token_id"]]
    place.write_text(json.dumps(settings, indent=2), "utf-8")


def write_openings(policy: Path, target: Path, splits: Mapping[str, int] = SPLITS) -> None:
    """A line an opening, all of them different: a first sentence, and six that the model itself wrote after it, where
    its story went on and no quotation is left open. InputError: it writes no such stories.
    """
    found: dict[str, None] = {}
    loaded, wanted = load_policy(policy, device="cpu"), sum(splits.values())
    for batch in count():
        before = len(found)
        asked = [Prompt.from_user(first) for first in FIRST]
        stories = answer(loaded, asked, WRITING, 1, "openings", ("openings", batch)).exchanges
        found |= dict.fromkeys(o for e in stories if (o := opening(e.prompt.messages[0].content, e.completion.text)))
        if len(found) >= wanted:
            break
        if len(found) == before:
            raise InputError(
                f"{policy}: writes no stories of {SENTENCES} sentences and more; give the model stories260k"
            )
    names = [name for name, n in splits.items() for _ in range(n)]
    rows = [{"prompt": o, "prompt_meta": {"split": s}} for o, s in zip(islice(found, wanted), names, strict=True)]
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def opening(first: str, story: str) -> str:
    """The first sentences of a story; empty where it is over before, or a quotation is open there."""
    sentences = _SENTENCE.findall(story)
    kept = "".join(sentences[:SENTENCES]).strip()
    return f"{first} {kept}" if len(sentences) > SENTENCES and kept.count('"') % 2 == 0 else ""
