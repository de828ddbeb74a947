"""What the Prefect API lets nobody set, set in the database of the tests' own server."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings


def in_database(*statements: tuple[str, tuple[Any, ...]]) -> None:
    """Execute *statements*, each of which must change exactly one row."""
    with closing(sqlite3.connect(_file(), timeout=60)) as database, database:
        for statement, values in statements:
            assert database.execute(statement, values).rowcount == 1, statement


def back_up(copy: Path, file: Path | None = None) -> None:
    """Copy the database, or that in *file*, while its server runs."""
    with closing(sqlite3.connect(file or _file())) as running, closing(sqlite3.connect(copy)) as made:
        running.backup(made)


def _file() -> str:
    url = get_current_settings().server.database.connection_url
    assert url, "these tests need a server of their own"
    return url.get_secret_value().partition(":///")[2]


def stored(instant: str | None) -> str | None:
    """An instant as Prefect stores it in SQLite."""
    return f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if instant else None
