"""What an evaluation has seen, before anything is computed from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueline.records import Completion, Prompt, Scores

Surprise = tuple[np.ndarray, np.ndarray]
FLAG_BELOW = -1.0
"""A learned safety score below this, in deviations from the mean, is shown as unsafe."""


@dataclass(frozen=True)
class Answered:
    """One answer to each of n held-out prompts before and after, paired by index.

    kl: (n,) log pi - log ref summed over an `after` answer's tokens, nats; tokens: (n,) lengths in tokens;
    surprise: of m held-out texts, nats and tokens of each (m,), None where there are no such texts;
    kl_reference: (n,) as `kl`, to what training measures its KL from, where that is not the policy before.
    """

    prompts: tuple[Prompt, ...]
    before: tuple[Completion, ...]
    after: tuple[Completion, ...]
    kl: np.ndarray
    tokens_before: np.ndarray
    tokens_after: np.ndarray
    surprise_before: Surprise | None = None
    surprise_after: Surprise | None = None
    kl_reference: np.ndarray | None = None


@dataclass(frozen=True)
class Verdicts:
    """A judge's scores of one side, and, where it gives them, its verdicts: (n,) bool.

    refused: the answer refuses a request that need not be refused.
    """

    scores: Scores
    safe: np.ndarray | None = None
    consistent: np.ndarray | None = None
    refused: np.ndarray | None = None
