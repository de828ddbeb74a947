"""Where the bench runs: sandboxes and a Prefect server as processes of their own, and nothing of the person's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
from support.close_account import ADMIN, CloseAccount, lead

from deployments.up.environment import SERVER

ROOT = Path(__file__).parent.parent.parent
PREFECT = Path(sys.executable).parent / "prefect"
STARTUP = 300  # seconds; it takes five where nothing else runs


@dataclass(frozen=True)
class Served:
    """Where a sandbox in another process is."""

    url: str
    base: str


@contextmanager
def serving(organizations: int = 1, leads: int = 0, database: Path | None = None) -> Generator[list[CloseAccount]]:
    """Sandboxes, with the same made-up leads in each; or one, kept in a *database*."""
    kept = [str(database)] if database else []
    command = (sys.executable, "-W", "ignore", "-m", "bench.serve_close", str(organizations), str(leads), *kept)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        accounts = [CloseAccount(Served(**each)) for each in json.loads(process.stdout.readline())]
        try:
            yield accounts
        finally:
            for each in accounts:
                each.close()


def use(close: CloseAccount) -> None:
    """Let this process's cleanups go to *close*."""
    os.environ.update(CLOSE_API_URL=close.url, CLOSE_API_KEY=ADMIN)


def without_heartbeats() -> AbstractContextManager[None]:
    """Flows in this block send none: they cost every flow of a process up to a second at its end."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return cast("AbstractContextManager[None]", temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))


def fill(close: CloseAccount, leads: int) -> None:
    """An organisation with so many leads to delete and ten others, and a Close that deletes as fast as it can.

    Its rate limits are on, with new windows.
    """
    close.reset()
    for begin in range(0, leads, 500):
        close.add(*(lead(f"Junk {number}", "Junk") for number in range(begin, min(begin + 500, leads))))
    close.add(*(lead(f"Other {number}") for number in range(10)))
    close.jobs(leads_per_second=1e6, created_seconds=0, loading_seconds=0)
    close.limit_rates()


def jobs_took(close: CloseAccount) -> float:
    """Seconds that all bulk deletes and exports took, from one date of Close to the other."""
    jobs = [*close.get("/bulk_action/delete/")["data"], *close.get("/export/")["data"]]
    return sum(since(each["date_created"], each["date_updated"]) for each in jobs)


def since(begin: str, end: str) -> float:
    """Seconds from *begin* to *end*, as Close writes instants."""
    return instant(end) - instant(begin)


def instant(written: str) -> float:
    """Seconds since 1970."""
    from datetime import datetime

    return datetime.fromisoformat(written).timestamp()


def environment(folder: Path) -> None:
    """From here on, this process and those it starts have settings and a home in *folder* only."""
    for name in [*os.environ]:
        if name.startswith(("CLOSE_", "PREFECT_")):
            del os.environ[name]
    os.environ |= {
        "PYTHONPATH": str(ROOT / "tests"),
        "PREFECT_HOME": str(folder / "prefect"),
        **SERVER,
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_STATE_HOME": str(folder / "state"),
    }


@contextmanager
def prefect_server(log: Path, port: int) -> Generator[None]:
    """`prefect server start`, as `make server` does; this process and its children use it."""
    api = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = api
    command = (str(PREFECT), "server", "start", "--port", str(port))
    with log.open("ab") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output) as process:
        try:
            _wait_for(f"{api}/health", process, log)
            yield
        finally:
            process.terminate()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP
    while True:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"Nothing answers at {url}: {log.read_text()[-2000:]}")
        time.sleep(0.5)
