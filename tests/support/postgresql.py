"""A PostgreSQL server of the test's own, from the system's package."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.attempts import wait_until

DEBIAN = Path("/usr/lib/postgresql")
OWNER: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
"""Who runs it, for `subprocess`: PostgreSQL refuses to run as root."""


class PostgreSQL:
    """An empty database on a server that listens on this machine only."""

    def __init__(self, programs: Path, port: int) -> None:
        self.programs = programs
        self.address = f"postgres@127.0.0.1:{port}/postgres"
        self.url = f"postgresql+asyncpg://{self.address}"
        """As Prefect wants it."""

    def query(self, sql: str) -> list[str]:
        """The first column of what *sql* returns."""
        command = [self.programs / "psql", f"postgresql://{self.address}", "-Atc", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    def answers(self) -> bool:
        """Whether it accepts connections."""
        command = [self.programs / "pg_isready", "--quiet", "--dbname", f"postgresql://{self.address}"]
        return subprocess.run(command, check=False).returncode == 0


@contextmanager
def postgresql() -> Generator[PostgreSQL]:
    """A server for the length of the block, with nothing in it."""
    programs = programs_here()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not pytest's, which only root may enter
    if OWNER:
        shutil.chown(folder, OWNER["user"], OWNER["group"])
    data = folder / "data"
    initdb = [programs / "initdb", "--no-sync", "--auth", "trust", "--username", "postgres", "--pgdata", data]
    made = subprocess.run(initdb, cwd=folder, check=False, capture_output=True, text=True, **OWNER)
    assert made.returncode == 0, made.stdout + made.stderr
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *flags], cwd=folder, stdout=log, stderr=log, **OWNER
        )
    try:
        found = PostgreSQL(programs, port)
        wait_until(found.answers)
        yield found
    finally:
        server.send_signal(2)  # SIGINT: without waiting for its clients
        server.wait(60)
        shutil.rmtree(folder)


def programs_here() -> Path:
    """The folder of its programs. Without them the test fails: whoever asks for it means to see it pass."""
    on_path = shutil.which("initdb")
    for folder in [*sorted(DEBIAN.glob("*/bin"), reverse=True), *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists():
            return folder
    pytest.fail(
        "This test needs PostgreSQL, and there is no initdb: as root, where there is apt-get, `make test-system` "
        "installs it.",
        pytrace=False,
    )
