"""The store's tables. Judgements are append-only events; the newest of a key is the label that counts."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
)

metadata = MetaData()

prompts = Table(
    "prompts",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("messages", JSON, nullable=False),
    Column("meta", JSON, nullable=False),
)
completions = Table(
    "completions",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("prompt_id", String(16), ForeignKey("prompts.id"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("source", String(200), nullable=False),
    Column("finish", String(10), nullable=False),
)
annotators = Table(
    "annotators",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("simulated", Boolean, nullable=False),
)
rating_events = Table(
    "rating_events",
    metadata,
    Column("event", Integer, primary_key=True),
    Column("completion_id", String(16), ForeignKey("completions.id"), nullable=False),
    Column("dimension", String(100), nullable=False),
    Column("annotator", String(200), ForeignKey("annotators.name"), nullable=False),
    Column("value", Integer),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    CheckConstraint("value IS NULL OR value BETWEEN 1 AND 5", name="rating_value"),
    Index("rating_key", "completion_id", "dimension", "annotator"),
)
comparison_events = Table(
    "comparison_events",
    metadata,
    Column("event", Integer, primary_key=True),
    Column("a_id", String(16), ForeignKey("completions.id"), nullable=False),
    Column("b_id", String(16), ForeignKey("completions.id"), nullable=False),
    Column("dimension", String(100), nullable=False),
    Column("annotator", String(200), ForeignKey("annotators.name"), nullable=False),
    Column("preference", Integer, nullable=False),
    Column("both_bad", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    CheckConstraint("preference BETWEEN -3 AND 3", name="preference_value"),
    CheckConstraint("a_id < b_id", name="pair_order"),
    Index("comparison_key", "a_id", "b_id", "dimension", "annotator"),
)
