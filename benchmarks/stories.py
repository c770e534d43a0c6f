"""The task of "time to reward": a real model of 260,000 parameters learns to tell happy stories.

The reward counts happy words, which were chosen before anything was run. It needs no network and no judge, the model
earns some of it from the start, and there is much to gain.
"""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path

PROMPTS_PER_STEP, SAMPLES, NEW_TOKENS = 16, 4, 64
LEARNING_RATE, KL = 4e-4, 0.05
HAPPY = set("happy smile smiled laugh laughed love loved fun friend friends hug hugged".split())
_WHO = ("girl", "boy", "dog", "cat", "bird", "bear", "fish", "duck")
_NAMES = ("Lily", "Tom", "Mia", "Ben", "Sue", "Tim", "Anna", "Max")
PROMPTS = [f"Once upon a time, there was a little {who} named {name}." for who, name in product(_WHO, _NAMES)]


def reward(answer: str) -> float:
    """How many happy words an answer has."""
    return float(sum(word in HAPPY for word in re.findall(r"[a-z]+", answer.lower())))


def model_folder() -> Path:
    here = Path(__file__).resolve().parents[1]
    return Path(os.environ.get("TRUELINE_DATA") or here.parent / "shared" / "data") / "models" / "stories260k"
