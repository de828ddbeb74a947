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
from deployments.sandbox.wire.moments import from_microseconds, microseconds, read_moment


class Store:
    """The database in *path*, or in a temporary file that disappears with `close`.

    A file, not memory, in both cases: several connections see the same data, and what piles up (events, journal) piles
    up on disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="close-sandbox-") if path is None else None
        self.path = Path(self._folder.name, "sandbox.sqlite3") if self._folder else Path(str(path))
        self._engine = create_engine(f"sqlite:///{self.path}", max_overflow=50)
        self._writer = threading.RLock()
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    def close(self) -> None:
        """Close every connection; a temporary database is removed."""
        self._engine.dispose()
        if self._folder:
            self._folder.cleanup()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection that sees one moment of the database."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """The one connection that writes: all of its changes or, after an exception, none."""
        with self._writer, self._engine.begin() as connection:
            yield connection

    def is_ready(self) -> bool:
        """Whether the file holds an organisation already. Raises ValueError when it is something else."""
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

    def create(self, connection: Connection) -> None:
        """Empty tables, without indexes."""
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)

    def index(self, connection: Connection) -> None:
        """Make the indexes, and the statistics the query planner chooses them by."""
        for statement in schema.INDEXES:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql(f"PRAGMA user_version = {schema.VERSION}")


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by us: see _begin
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # what making a million leads up needs isn't kept
    connection.execute("PRAGMA synchronous = OFF")  # a crash may cost the sandbox's data; that is its nature
    connection.execute("PRAGMA cache_size = -65536")  # KiB
    connection.execute("PRAGMA mmap_size = 4294967296")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.create_function("spaced", 1, spaced, deterministic=True)
    connection.create_function("lowered", 1, _lowered, deterministic=True)
    connection.create_function("read_moment", 1, _read_moment, deterministic=True)
    connection.create_function("local_time", 2, _local_time, deterministic=True)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _lowered(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _read_moment(text: object) -> int | None:
    """A custom field's date in microseconds, null when it is none."""
    if not isinstance(text, str):
        return None
    try:
        return microseconds(read_moment(text))
    except ValueError:
        return None


def _local_time(zone: str | None, now: int) -> str | None:
    """The wall clock in *zone* at *now* (microseconds), as ``HH:MM:SS``; null when the zone is unknown."""
    if zone is None:
        return None
    try:
        local: datetime = from_microseconds(now).astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        return None
    return time(local.hour, local.minute, local.second).isoformat()
