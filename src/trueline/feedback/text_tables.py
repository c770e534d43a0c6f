"""What is known of texts besides what people say: a prompt's language, what it resembles, and personal data."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table

from trueline.feedback.tables import metadata

# language: ISO 639-1, `und` where it cannot be told. resembles: the prompt that stands for both, alike by so much.
# sketch: its MinHash bands, for prompts that stand for themselves; neither where nobody has looked.
prompt_traits = Table(
    "prompt_traits",
    metadata,
    Column("prompt_id", String(16), ForeignKey("prompts.id"), primary_key=True),
    Column("language", String(8), nullable=False, index=True),
    Column("resembles", String(16), ForeignKey("prompts.id"), index=True),
    Column("alike", Float),
    Column("sketch", LargeBinary),
)
# about: prompt or completion; turn: which message of a prompt; start, stop: Unicode code points of its text.
personal_data = Table(
    "personal_data",
    metadata,
    Column("text_id", String(16), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("stop", Integer, nullable=False),
    Column("about", String(10), nullable=False),
    Column("kind", String(20), nullable=False),
    CheckConstraint("about IN ('prompt', 'completion')", name="personal_about"),
    Index("personal_kind", "kind"),
)
