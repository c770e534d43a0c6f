"""The labelling queue; labels can be withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for table in ("rating_events", "comparison_events"):
        op.add_column(table, sa.Column("withdrawn", sa.Boolean, server_default=sa.false(), nullable=False))
    op.create_table(
        "items",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("prompt_id", sa.String(16), sa.ForeignKey("prompts.id"), nullable=False),
        sa.Column("a_id", sa.String(16), sa.ForeignKey("completions.id"), nullable=False),
        sa.Column("b_id", sa.String(16), sa.ForeignKey("completions.id")),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("free", sa.Integer, nullable=False),
        sa.Column("judged", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("gold", sa.JSON),
        sa.Column("uncertainty", sa.Float, server_default=sa.text("0"), nullable=False),
        sa.Column("disagreement", sa.Float, server_default=sa.text("0"), nullable=False),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("blurred", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("held_for", sa.String(200)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.CheckConstraint("free >= 0 AND free <= wanted", name="item_free"),
        sa.CheckConstraint("b_id IS NULL OR a_id < b_id", name="item_pair_order"),
    )
    some = sa.text("free > 0")
    op.create_index("item_next", "items", [sa.text("priority DESC"), "id"], postgresql_where=some, sqlite_where=some)
    op.create_table(
        "assignments",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("item_id", sa.String(16), sa.ForeignKey("items.id"), nullable=False),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.name"), nullable=False),
        sa.Column("again", sa.Integer, nullable=False),
        sa.Column("slot", sa.Integer),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("flipped", sa.Boolean, nullable=False),
        sa.Column("leased_until", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("draft", sa.JSON),
        sa.UniqueConstraint("item_id", "slot", name="one_holder_of_a_slot"),
        sa.UniqueConstraint("item_id", "annotator", "again", name="once_for_each_person"),
        sa.CheckConstraint("state IN ('leased', 'judged', 'skipped', 'released', 'expired')", name="assignment_state"),
    )
    op.create_index("assignment_of", "assignments", ["annotator", "state"])
    op.create_index("assignment_lease", "assignments", ["state", "leased_until"])
    op.create_table(
        "judgements",
        sa.Column("event", BIG, primary_key=True),
        sa.Column("assignment_id", BIG, sa.ForeignKey("assignments.id"), nullable=False, index=True),
        sa.Column("item_id", sa.String(16), sa.ForeignKey("items.id"), nullable=False, index=True),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.name"), nullable=False, index=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("annotator", "key", name="said_once"),
        sa.CheckConstraint("kind IN ('judge', 'undo', 'skip', 'flag')", name="judgement_kind"),
    )


def downgrade() -> None:
    for table in ("judgements", "assignments", "items"):
        op.drop_table(table)
    for table in ("rating_events", "comparison_events"):
        op.drop_column(table, "withdrawn")
