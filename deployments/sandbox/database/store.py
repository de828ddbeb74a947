"""One organisation's database: SQLite through SQLAlchemy Core, many readers and one writer at a time."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from deployments.sandbox.database import schema
from deployments.sandbox.database.full_text import spaced
from deployments.sandbox.wire.moments import from_microseconds, microseconds, parse_moment

A_DAY = 24 * 60 * 60 * 1_000_000  # microseconds


class Store:
    """The database in *path*, or in a temporary file that `close` removes.

    It is a file, not memory, so that several connections share it, and events and the journal grow on disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="close-sandbox-") if path is None else None
        self.path = Path(self._folder.name, "sandbox.sqlite3") if self._folder else Path(str(path))
        self._engine = create_engine(f"sqlite:///{self.path}", max_overflow=50)
        self._writer = threading.RLock()
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    def close(self) -> None:
        """Close every connection, and remove a temporary database."""
        self._engine.dispose()
        if self._folder:
            self._folder.cleanup()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Yields a connection that reads one snapshot."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """Yields the only writing connection; an exception rolls its changes back."""
        with self._writer, self._engine.begin() as connection:
            yield connection

    def is_ready(self) -> bool:
        """Whether the file already has an organisation. Raises ValueError for any other file."""
        advice = "delete it or name another file"
        try:
            with self.reading() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        except DatabaseError as error:
            raise ValueError(f"{self.path} can't be opened as a database ({error.orig}): {advice}") from None
        if tables and version != schema.VERSION:
            raise ValueError(f"{self.path} was not written by this version of the sandbox: {advice}")
        return bool(tables)

    def create_tables(self, connection: Connection) -> None:
        """Create empty tables, without indexes."""
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)

    def empty(self, connection: Connection) -> None:
        """Delete all rows, and what the query planner knew of them; the indexes stay."""
        connection.exec_driver_sql("DROP TABLE IF EXISTS sqlite_stat1")
        for table in schema.metadata.tables:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def create_indexes(self, connection: Connection) -> None:
        """Create the indexes, and the statistics for the query planner."""
        for statement in schema.INDEXES:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql(f"PRAGMA user_version = {schema.VERSION}")


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # _begin starts the transactions
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # don't keep the space that a large seed needed
    connection.execute("PRAGMA synchronous = OFF")  # losing data in a crash is acceptable here
    connection.execute("PRAGMA cache_size = -65536")  # KiB
    connection.execute("PRAGMA mmap_size = 4294967296")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.create_function("spaced", 1, spaced, deterministic=True)
    connection.create_function("lowered", 1, _lowered, deterministic=True)
    connection.create_function("parse_moment", 1, _parse_moment, deterministic=True)
    connection.create_function("midnight", 1, _midnight, deterministic=True)
    connection.create_function("local_time", 2, _local_time, deterministic=True)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _lowered(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _parse_moment(text: object) -> int | None:
    """A custom field's date in microseconds, or null for any other text."""
    if not isinstance(text, str):
        return None
    try:
        return microseconds(parse_moment(text))
    except ValueError:
        return None


def _midnight(moment: int | None) -> int | None:
    """Midnight UTC of the day of *moment*, both in microseconds."""
    return None if moment is None else moment - moment % A_DAY


def _local_time(zone: str | None, now: int) -> str | None:
    """The wall clock in *zone* at *now* (microseconds), as ``HH:MM:SS``; or null for an unknown zone."""
    if zone is None:
        return None
    try:
        local: datetime = from_microseconds(now).astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        return None
    return time(local.hour, local.minute, local.second).isoformat()
