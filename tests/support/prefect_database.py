"""What the Prefect API lets nobody set, set in the database of the tests' own server."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from prefect.settings import get_current_settings


def in_database(*statements: tuple[str, tuple[Any, ...]]) -> None:
    """Execute *statements*, each of which must change exactly one row."""
    url = get_current_settings().server.database.connection_url
    assert url, "these tests need a server of their own"
    file = url.get_secret_value().partition(":///")[2]
    with closing(sqlite3.connect(file, timeout=60)) as database, database:
        for statement, values in statements:
            assert database.execute(statement, values).rowcount == 1, statement


def stored(instant: str | None) -> str | None:
    """An instant as Prefect stores it in SQLite."""
    return f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if instant else None
