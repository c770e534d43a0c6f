"""Alembic migrations of the feedback store, run whenever it is opened."""
