"""What flows through Trueline as text and numbers. Frozen, standard library only.

Ids are content addresses: the same prompt or the same answer has the same id in every project, so that
importing a file twice adds nothing, and splits by prompt are the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "validation", "test"]
SPLITS = ("train", "validation", "test")
Finish = Literal["stop", "length"]

DIMENSIONS = ("quality", "safety", "consistency")
RATING_VALUES = (1, 2, 3, 4, 5)
PREFERENCE_VALUES = (-3, -2, -1, 0, 1, 2, 3)


def content_id(*parts: str) -> str:
    """A 16-hex-digit id of some text parts (sha256, parts length-prefixed so that they cannot run together)."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Prompt:
    """A conversation that waits for the assistant's next turn. `meta` carries facts that a scenario knows."""

    messages: tuple[Message, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def id(self) -> str:
        return content_id(*(text for m in self.messages for text in (m.role, m.content)))

    @property
    def text(self) -> str:
        """The turns as plain text, for people and for text features."""
        return "\n".join(f"{m.role}: {m.content}" for m in self.messages)

    @classmethod
    def from_user(cls, text: str, meta: Mapping[str, Any] | None = None) -> Prompt:
        return cls((Message("user", text),), meta or {})


@dataclass(frozen=True)
class Completion:
    """An answer to a prompt. `source` says who wrote it, such as `policy:base` or `import:hh_harmless`."""

    prompt_id: str
    text: str
    source: str = ""
    finish: Finish = "stop"

    @property
    def id(self) -> str:
        return content_id(self.prompt_id, self.text)


@dataclass(frozen=True)
class Exchange:
    """A prompt with one answer to it: what people rate and reward models score."""

    prompt: Prompt
    completion: Completion

    @classmethod
    def of(cls, prompt: Prompt, text: str, source: str = "", finish: Finish = "stop") -> Exchange:
        return cls(prompt, Completion(prompt.id, text, source, finish))


@dataclass(frozen=True)
class Annotator:
    """Who judged. Simulated annotators are marked so wherever a person can see them."""

    name: str
    simulated: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} (simulated)" if self.simulated else self.name


@dataclass(frozen=True)
class Rating:
    """One annotator's mark for one completion in one dimension: 1 (worst) to 5 (best), or None for "not applicable"."""

    completion_id: str
    dimension: str
    value: int | None
    annotator: Annotator


@dataclass(frozen=True)
class Comparison:
    """One annotator's preference between two completions of the same prompt, in one dimension.

    `preference` runs from -3 (A much better) over 0 (tie) to +3 (B much better).
    `both_bad` is kept apart from the preference: two bad answers can still be unequal.
    """

    a_id: str
    b_id: str
    dimension: str
    preference: int
    annotator: Annotator
    both_bad: bool = False


@dataclass(frozen=True)
class Scores:
    """Learned judgements of n exchanges in d dimensions; higher is better.

    values: (n, d) float64; std: (n, d) float64 or None where the model knows no uncertainty.
    """

    dimensions: tuple[str, ...]
    values: np.ndarray
    std: np.ndarray | None = None


def split_of(prompt: Prompt) -> Split:
    """The split a prompt belongs to: the one its data came with (`meta["split"]`), else 80% train, 10% validation, 10%
    test, by its conversation.

    The conversation is told by its first user turn, so that two prompts that continue the same dialogue, or
    several answers to one prompt, never stand on both sides (a split by row leaks).
    """
    if (given := prompt.meta.get("split")) in SPLITS:
        return given
    first = next((m.content for m in prompt.messages if m.role == "user"), prompt.text)
    bucket = int(content_id("split", " ".join(first.lower().split())), 16) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def in_split(prompts: Sequence[Prompt], split: Split) -> list[Prompt]:
    """The prompts of one split, in their order."""
    return [p for p in prompts if split_of(p) == split]
