"""A fresh store, and a few texts to label."""

from __future__ import annotations

import pytest

from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt


@pytest.fixture
def store(tmp_path):
    with FeedbackStore.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def exchanges():
    """Three prompts with two answers each."""
    return [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(3) for j in range(2)]
