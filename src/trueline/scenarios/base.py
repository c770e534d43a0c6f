"""What a scenario offers to the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from trueline.records import DIMENSIONS, Exchange, Message, Prompt, Split


class Graded(Protocol):
    """The known truth about one exchange: a grade in 0..1 for each dimension, and the verdicts that shares count; None
    where a scenario has no such verdict.
    """

    @property
    def safe(self) -> bool | None: ...
    @property
    def consistent(self) -> bool | None: ...
    @property
    def dimensions(self) -> tuple[str, ...]: ...
    def grade(self, dimension: str) -> float: ...


@dataclass(frozen=True)
class Truth:
    """What is known of a customer service's reply."""

    quality: float
    safety: float
    consistency: float
    safe: bool
    consistent: bool
    dimensions: ClassVar[tuple[str, ...]] = DIMENSIONS

    def grade(self, dimension: str) -> float:
        return {"quality": self.quality, "safety": self.safety, "consistency": self.consistency}[dimension]


@dataclass(frozen=True)
class Scenario:
    """prompts(n, split, seed) gives n distinct prompts of one split; truth(exchange) grades any answer text.
    policy_folder: the policy that comes with it; held_out_text: text that a good policy should not find surprising;
    None where there is none. settings: those of a new project that differ from the defaults.
    """

    name: str
    policy_folder: Path | None
    prompts: Callable[[int, Split, int], list[Prompt]]
    truth: Callable[[Exchange], Graded]
    held_out_text: Callable[[int, int], Sequence[Exchange]] | None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Environment(Protocol):
    """What answers the assistant's turns of one episode. What it says depends on the prompt and on those turns alone,
    so that an episode can be played again from its transcript.
    """

    def step(self, said: str) -> Message | None:
        """What follows an assistant's turn: a tool's result (role system) or the user's words; None: it is over."""
