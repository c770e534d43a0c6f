"""What a scenario offers to the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueline.records import Exchange, Prompt, Split


@dataclass(frozen=True)
class Truth:
    """The known truth about one exchange: a grade in 0..1 for each dimension, and the verdicts that shares count."""

    quality: float
    safety: float
    consistency: float
    safe: bool
    consistent: bool

    def grade(self, dimension: str) -> float:
        return {"quality": self.quality, "safety": self.safety, "consistency": self.consistency}[dimension]


@dataclass(frozen=True)
class Scenario:
    """prompts(n, split, seed) gives n distinct prompts of one split; truth(exchange) grades any answer text."""

    name: str
    policy_folder: Path
    prompts: Callable[[int, Split, int], list[Prompt]]
    truth: Callable[[Exchange], Truth]
    held_out_text: Callable[[int, int], Sequence[Exchange]]
