"""A database for a Prefect server to start with, on which it has no migrations to make: they take half of its start."""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def migrated_database(folder: Path) -> Path:
    """The database of a Prefect server that nobody has used; made in *folder* unless it is there. Others wait.

    Copy it: ``PREFECT_HOME/prefect.db`` is where a server looks for its own.
    """
    made = folder / f"prefect-{version('prefect')}.db"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.with_suffix(".part").unlink(missing_ok=True)
            _migrate(made.with_suffix(".part"), folder)
            made.with_suffix(".part").rename(made)
    return made


def copy_to_home(database: Path, home: Path) -> None:
    """Make *database* that of the Prefect server whose PREFECT_HOME is *home*."""
    home.mkdir(exist_ok=True)
    shutil.copy(database, home / "prefect.db")


def _migrate(database: Path, home: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    where = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
    }
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    done = subprocess.run(command, env={**clean, **where}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
