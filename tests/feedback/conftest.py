"""A fresh store of either kind, and a few texts to label."""

from __future__ import annotations

import pytest

from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a fresh store goes: a file, or a database's URL."""
    if request.param == "sqlite":
        return tmp_path / "feedback.db"
    return request.getfixturevalue("postgres").address()


@pytest.fixture
def store(place):
    with FeedbackStore.open(place) as opened:
        yield opened


@pytest.fixture
def exchanges():
    """Three prompts with two answers each."""
    return [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(3) for j in range(2)]


@pytest.fixture
def file_store(tmp_path):
    """For what only SQLite has."""
    with FeedbackStore.open(tmp_path / "feedback.db") as opened:
        yield opened
