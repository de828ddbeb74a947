"""Copy a Prefect server's database from SQLite into an empty PostgreSQL: ``python -m deployments.to_postgresql FILE``.

Prefect has no tool for this, and starting on an empty database would lose every claim. Run it while no server runs, and
with the Prefect that the server ran with. `docs/database.md` has the steps around it.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from prefect.server.database.orm_models import Base
from sqlalchemy import Connection, Table, bindparam, create_engine, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from flows.console.terminal import WRONG_USAGE, put, say

URL = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
DRIVER = "postgresql+asyncpg://"
ROWS = 500  # written at a time

app = App(name="python -m deployments.to_postgresql", help="Copy a Prefect database from SQLite to PostgreSQL.")


class CannotCopy(Exception):
    """Nothing was copied. The message is one sentence that says why."""


@app.default
def to_postgresql(
    file: Annotated[Path, Parameter(help="The SQLite database, such as ~/.prefect/prefect.db.")], /
) -> int:
    """Copy all of *file* to PREFECT_SERVER_DATABASE_CONNECTION_URL, or nothing. Returns the exit code."""
    try:
        url = os.environ.get(URL, "")
        if not url.startswith(DRIVER):
            raise CannotCopy(f"Set {URL} to the database to copy to: {DRIVER}USER:PASSWORD@HOST:5432/NAME.")
        if not file.expanduser().is_file():
            raise CannotCopy(f"There is no file {file}.")
        _make_tables()
        rows = asyncio.run(_copy(file.expanduser(), url))
    except (CannotCopy, SQLAlchemyError, OSError) as error:
        say(f"Nothing was copied. {str(error).splitlines()[0]}")
        return 1
    put(f"Copied {rows:,} rows. Start the server with the same {URL}, and then: lead-cleanup ledger --check")
    return 0


def _make_tables() -> None:
    """As `prefect server start` would."""
    prefect = Path(sys.executable).parent / "prefect"
    command = [prefect, "server", "database", "upgrade", "--yes"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - all ours
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise CannotCopy(f"Prefect could not make its tables: {lines[-1] if lines else 'it does not say why'}")


async def _copy(file: Path, url: str) -> int:
    """Returns the number of rows. In one transaction."""
    read_only = f"{file.absolute().as_uri()}?mode=ro"
    source = create_engine("sqlite://", creator=lambda: sqlite3.connect(read_only, uri=True))
    target = create_async_engine(url)
    try:
        with source.connect() as reading:
            async with target.begin() as writing:
                await _check_empty(writing)
                tables = Base.metadata.sorted_tables
                rows = sum([await _insert(reading, writing, table) for table in tables])
                for table in tables:
                    await _link(reading, writing, table)
                return rows
    finally:
        source.dispose()
        await target.dispose()


async def _check_empty(writing: AsyncConnection) -> None:
    for table in Base.metadata.sorted_tables:
        if found := await writing.scalar(select(func.count()).select_from(table)):
            raise CannotCopy(f"{URL} is in use, with {found:,} rows in its table {table.name}.")


async def _insert(reading: Connection, writing: AsyncConnection, table: Table) -> int:
    """Copy the rows without the columns of `_links`: what those point to may not be there yet."""
    rows, left_out = 0, dict.fromkeys(_links(table))
    for part in reading.execute(select(table)).mappings().partitions(ROWS):
        await writing.execute(insert(table), [{**row, **left_out} for row in part])
        rows += len(part)
    return rows


async def _link(reading: Connection, writing: AsyncConnection, table: Table) -> None:
    links = _links(table)
    for name in links:
        column = table.c[name]
        found = select(table.c.id.label("row"), column.label("value")).where(column.is_not(None))
        change = update(table).where(table.c.id == bindparam("row")).values({name: bindparam("value")})
        for part in reading.execute(found).mappings().partitions(ROWS):
            await writing.execute(change, [dict(row) for row in part])


def _links(table: Table) -> list[str]:
    """The columns that make tables point to each other in a circle."""
    return [column.name for column in table.columns if any(key.use_alter for key in column.foreign_keys)]


def call(words: Sequence[str]) -> int:
    """Copy what *words* say, and return the exit code."""
    try:
        return app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        say(str(error))
        return WRONG_USAGE


if __name__ == "__main__":
    sys.exit(call(sys.argv[1:]))
