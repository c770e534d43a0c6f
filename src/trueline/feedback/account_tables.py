"""Who may do what, what proves it, and an append-only log of what was done. Secrets are kept as hashes.

The log's chain has a salted hash of who did what to whom; the words themselves are in `audit_said`, from where they can
be erased.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    String,
    Table,
    true,
)

from trueline.feedback.queue_tables import BIG
from trueline.feedback.tables import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("role", String(10), nullable=False),
    Column("password", String(300)),
    Column("active", Boolean, server_default=true(), nullable=False),
    Column("created_at", Float, nullable=False),
    CheckConstraint("role IN ('admin', 'reviewer', 'annotator', 'viewer')", name="account_role"),
)
secrets = Table(
    "secrets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("account", String(200), ForeignKey("accounts.name", ondelete="CASCADE")),
    Column("role", String(10)),
    Column("label", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    CheckConstraint("kind IN ('session', 'token', 'invitation', 'login')", name="secret_kind"),
    Index("secret_of", "account", "kind"),
)
audit_log = Table(
    "audit_log",
    metadata,
    Column("event", BIG, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String(200), nullable=False),
    Column("action", String(50), nullable=False),
    Column("about", String(200), nullable=False),
    Column("details", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)
audit_said = Table(
    "audit_said",
    metadata,
    Column("event", BIG, ForeignKey("audit_log.event"), primary_key=True, autoincrement=False),
    Column("salt", String(32), nullable=False),
    Column("who", String(200), nullable=False),
    Column("about", String(200), nullable=False),
    Column("details", JSON, nullable=False),
)
