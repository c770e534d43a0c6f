"""The store's tables of texts and labels. Labels are append-only events; the newest of a key is the one that counts,
unless it withdraws what was said before."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    func,
)

metadata = MetaData()
TEXTS = ("prompts", "completions", "annotators", "rating_events", "comparison_events")


class AnyText(TypeDecorator[str]):
    """Text with NUL characters too, which PostgreSQL refuses: there they are written with an escape."""

    impl = Text
    cache_ok = True
    ESCAPE = "\ufdd0"  # a code point that Unicode keeps free of any character

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace(self.ESCAPE, self.ESCAPE + "e").replace("\0", self.ESCAPE + "0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace(self.ESCAPE + "0", "\0").replace(self.ESCAPE + "e", self.ESCAPE)


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
    Column("text", AnyText, nullable=False),
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
    Column("withdrawn", Boolean, server_default=false(), nullable=False),
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
    Column("withdrawn", Boolean, server_default=false(), nullable=False),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    CheckConstraint("preference BETWEEN -3 AND 3", name="preference_value"),
    CheckConstraint("a_id < b_id", name="pair_order"),
    Index("comparison_key", "a_id", "b_id", "dimension", "annotator"),
)
