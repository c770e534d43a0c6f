"""What the base policy learns from: notes first; then SGD's booking dialogues and demonstrations in the sandbox.

Each line of the source is {"id", "turns": [["USER", text], ["SYSTEM", text], ...]} (DSTC8 Schema-Guided Dialogue).
Notes are facts and little else, from which a small model learns to copy. Demonstrations are by simulated demonstrators,
good and faulty alike (`trueline.scenarios.booking.demonstrations`), on training tasks alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from trueline.scenarios.booking import draw_prompt
from trueline.scenarios.booking.demonstrations import demonstrate, draw_style
from trueline.scenarios.booking.tasks import HOURS, Task
from trueline.scenarios.booking.wording import CITIES, HOTELS, TITLES, one
from trueline.scenarios.booking.world import DAYS

ROLES = {"USER": "user", "SYSTEM": "assistant"}
SAID = {
    "title": "{}", "day": "on {}", "hour": "at {}", "city": "in {}", "hotel": "the {}", "nights": "{} nights",
    "stars": "{} stars",
}  # fmt: skip
Chat = list[dict[str, str]]


def dialogues(source: Path, n: int) -> Iterator[Chat]:
    for line in source.read_text("utf-8").splitlines()[:n]:
        yield [{"role": ROLES[speaker], "content": text} for speaker, text in json.loads(line)["turns"]]


def notes(n: int, seed: int) -> Iterator[Chat]:
    """Someone lists facts, and they are noted down as a tool would take them, in another order."""
    rng = np.random.default_rng([29, seed])
    values = {
        "title": TITLES, "day": DAYS, "hour": tuple(map(str, HOURS)), "city": CITIES, "hotel": HOTELS,
        "nights": ("2", "3", "4"), "stars": ("3", "4", "5"),
    }  # fmt: skip
    for _ in range(n):
        names = [list(values)[i] for i in rng.permutation(len(values))[:5]]
        facts = {name: one(values[name], rng) for name in names}
        said = ", ".join(SAID[name].format(value) for name, value in facts.items())
        noted = ", ".join(f"{names[i]} = {facts[names[i]]}" for i in rng.permutation(5))
        yield [{"role": "user", "content": f"Note {said}."}, {"role": "assistant", "content": f"note({noted})"}]


def demonstrations(n: int, seed: int) -> Iterator[Chat]:
    rng = np.random.default_rng([23, seed])
    for _ in range(n):
        prompt = draw_prompt(rng, "train")
        turns = demonstrate(Task.of(prompt.meta["task"]), draw_style(rng), rng)
        yield [{"role": m.role, "content": m.content} for m in (*prompt.messages, *turns)]


def write_chats(chats: Iterable[Chat], target: Path) -> None:
    target.write_text("".join(json.dumps({"messages": c}, ensure_ascii=False) + "\n" for c in chats), "utf-8")
