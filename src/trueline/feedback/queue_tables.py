"""The labelling queue's tables: what is to be judged, who holds it, and what was said, as it was said.

An item wants `wanted` judgements: numbered slots, of which each person can hold one. The two unique constraints are
the guard against double assignment; a claim's locks only make it quick. Times are seconds since 1970, by the server.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)

from trueline.feedback.tables import metadata

# SQLite counts up only what is called INTEGER.
BIG = BigInteger().with_variant(Integer, "sqlite")

items = Table(
    "items",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("prompt_id", String(16), ForeignKey("prompts.id"), nullable=False),
    Column("a_id", String(16), ForeignKey("completions.id"), nullable=False),
    Column("b_id", String(16), ForeignKey("completions.id")),
    Column("wanted", Integer, nullable=False),
    Column("free", Integer, nullable=False),
    Column("judged", Integer, server_default=text("0"), nullable=False),
    Column("gold", JSON(none_as_null=True)),
    Column("uncertainty", Float, server_default=text("0"), nullable=False),
    Column("disagreement", Float, server_default=text("0"), nullable=False),
    Column("priority", Float, nullable=False),
    Column("blurred", Boolean, server_default=false(), nullable=False),
    Column("held_for", String(200)),
    Column("created_at", Float, nullable=False),
    CheckConstraint("free >= 0 AND free <= wanted", name="item_free"),
    CheckConstraint("b_id IS NULL OR a_id < b_id", name="item_pair_order"),
)
Index(
    "item_next", items.c.priority.desc(), items.c.id, postgresql_where=items.c.free > 0, sqlite_where=items.c.free > 0
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("item_id", String(16), ForeignKey("items.id"), nullable=False),
    Column("annotator", String(200), ForeignKey("annotators.name"), nullable=False),
    Column("again", Integer, nullable=False),
    Column("slot", Integer),
    Column("state", String(10), nullable=False),
    Column("flipped", Boolean, nullable=False),
    Column("leased_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("draft", JSON(none_as_null=True)),
    UniqueConstraint("item_id", "slot", name="one_holder_of_a_slot"),
    UniqueConstraint("item_id", "annotator", "again", name="once_for_each_person"),
    CheckConstraint("state IN ('leased', 'judged', 'skipped', 'released', 'expired')", name="assignment_state"),
    Index("assignment_of", "annotator", "state"),
    Index("assignment_lease", "state", "leased_until"),
)

judgements = Table(
    "judgements",
    metadata,
    Column("event", BIG, primary_key=True),
    Column("assignment_id", BIG, ForeignKey("assignments.id"), nullable=False, index=True),
    Column("item_id", String(16), ForeignKey("items.id"), nullable=False, index=True),
    Column("annotator", String(200), ForeignKey("annotators.name"), nullable=False, index=True),
    Column("kind", String(10), nullable=False),
    Column("key", String(100), nullable=False),
    Column("content", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("annotator", "key", name="said_once"),
    CheckConstraint("kind IN ('judge', 'undo', 'skip', 'flag')", name="judgement_kind"),
)
