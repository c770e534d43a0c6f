"""What is known of texts: language, resemblance, personal data."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "prompt_traits",
        sa.Column("prompt_id", sa.String(16), sa.ForeignKey("prompts.id"), primary_key=True),
        sa.Column("language", sa.String(8), nullable=False, index=True),
        sa.Column("resembles", sa.String(16), sa.ForeignKey("prompts.id"), index=True),
        sa.Column("alike", sa.Float),
        sa.Column("sketch", sa.LargeBinary),
    )
    op.create_table(
        "personal_data",
        sa.Column("text_id", sa.String(16), primary_key=True),
        sa.Column("turn", sa.Integer, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True),
        sa.Column("stop", sa.Integer, nullable=False),
        sa.Column("about", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.CheckConstraint("about IN ('prompt', 'completion')", name="personal_about"),
    )
    op.create_index("personal_kind", "personal_data", ["kind"])


def downgrade() -> None:
    for table in ("personal_data", "prompt_traits"):
        op.drop_table(table)
