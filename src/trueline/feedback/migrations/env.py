"""Alembic's entry: the store hands its connection over, so that there is no alembic.ini."""

from alembic import context

from trueline.feedback import account_tables, jobs, queue_tables, text_tables  # noqa: F401 (their tables belong to the metadata)
from trueline.feedback.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
