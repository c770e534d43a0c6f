"""Prompts, completions, annotators, ratings and comparisons."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "prompts",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("messages", sa.JSON, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
    )
    op.create_table(
        "completions",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("prompt_id", sa.String(16), sa.ForeignKey("prompts.id"), nullable=False, index=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("finish", sa.String(10), nullable=False),
    )
    op.create_table(
        "annotators",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("simulated", sa.Boolean, nullable=False),
    )
    op.create_table(
        "rating_events",
        sa.Column("event", sa.Integer, primary_key=True),
        sa.Column("completion_id", sa.String(16), sa.ForeignKey("completions.id"), nullable=False),
        sa.Column("dimension", sa.String(100), nullable=False),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.name"), nullable=False),
        sa.Column("value", sa.Integer),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("value IS NULL OR value BETWEEN 1 AND 5", name="rating_value"),
    )
    op.create_index("rating_key", "rating_events", ["completion_id", "dimension", "annotator"])
    op.create_table(
        "comparison_events",
        sa.Column("event", sa.Integer, primary_key=True),
        sa.Column("a_id", sa.String(16), sa.ForeignKey("completions.id"), nullable=False),
        sa.Column("b_id", sa.String(16), sa.ForeignKey("completions.id"), nullable=False),
        sa.Column("dimension", sa.String(100), nullable=False),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.name"), nullable=False),
        sa.Column("preference", sa.Integer, nullable=False),
        sa.Column("both_bad", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("preference BETWEEN -3 AND 3", name="preference_value"),
        sa.CheckConstraint("a_id < b_id", name="pair_order"),
    )
    op.create_index("comparison_key", "comparison_events", ["a_id", "b_id", "dimension", "annotator"])


def downgrade() -> None:
    for table in ("comparison_events", "rating_events", "annotators", "completions", "prompts"):
        op.drop_table(table)
