"""How the store's database is reached, set up and brought up to date."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.exc import ArgumentError

from trueline.errors import InputError

BUSY_MS = 30_000
POOL = 16
MIGRATING = 7_446_152_901  # the key of PostgreSQL's advisory lock: several processes may open a new store at once


def make_engine(place: Path | str) -> sa.Engine:
    """An engine for a file (SQLite) or an SQLAlchemy URL; the file's folder is made."""
    try:
        if isinstance(place, str) and "://" in place:
            engine = _server(place)
        else:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(sa.URL.create("sqlite", database=str(place)))
    except OSError as error:
        raise InputError(f"{place}: its folder cannot be made ({error.strerror}); name another place") from error
    except (ArgumentError, ImportError) as error:
        raise InputError(f"not a usable database address ({error}); give a file or an SQLAlchemy URL") from error
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine)
    return engine


def _server(address: str) -> sa.Engine:
    """PostgreSQL speaks through psycopg 3; a connection that a restart of the server cut is made anew."""
    url = sa.make_url(address)
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    return sa.create_engine(url, pool_pre_ping=True, pool_size=POOL, max_overflow=POOL)


def _set_up_sqlite(engine: sa.Engine) -> None:
    """WAL with full synchronisation: an acknowledged label survives a power cut. Writers queue at BEGIN IMMEDIATE."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        _use_wal(cursor)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _use_wal(cursor: Any) -> None:
    """SQLite does not queue for this lock, so that processes which open a fresh file together must ask again."""
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def insert_missing(connection: sa.Connection, table: sa.Table, key: str) -> Any:
    """An INSERT that leaves rows alone whose key is there, also where another process adds one at the same time."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing(index_elements=[key])


def migrate(connection: sa.Connection) -> None:
    """Bring the tables up to date."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
