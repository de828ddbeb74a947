"""Prefect's server on PostgreSQL, two workers, two organisations; and a machine that loses its power."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from deployed_runs import PREFECT, PrefectServer, await_state, deploy, process_of, wait_for, within
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.concurrency.services import ConcurrencySlotAcquisitionWithLeaseService
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from support.close_account import CloseAccount, lead
from support.postgresql import PostgreSQL, postgresql
from support.prefect_database import back_up
from support.terminal_session import Command

from deployments import automations
from deployments.sandbox.server import Sandbox
from deployments.up.environment import SERVER
from tasks.ledger.record import name_of

pytestmark = [
    pytest.mark.server,
    pytest.mark.system,
    pytest.mark.xdist_group("postgresql"),
    pytest.mark.timeout(900),
]

BULK_DELETE = "/bulk_action/delete/"
SILENCE, SOONEST = 75, 10  # seconds; a run that lives sends a heartbeat every 30
WORKER = (PREFECT, "worker", "start", "--pool", "lead-cleanup", "--limit", "1")
MOVE = (sys.executable, "-W", "ignore", "-m", "deployments.to_postgresql")
LIVE = ("run", "--match.status", "Junk", "--no-dry-run", "--no-backup", "--json")
Work = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    with postgresql() as found:
        yield found


@pytest.fixture
def environment(database: PostgreSQL, tmp_path: Path) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_"))},
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        **SERVER,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url,
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }


@pytest.fixture
def on_postgresql(environment: dict[str, str], close: CloseAccount, tmp_path: Path) -> Iterator[SyncPrefectClient]:
    """A client of the server, with what `make deploy` deploys and automations that take less than minutes."""
    running = PrefectServer((PREFECT, "server", "start"), tmp_path / "server", environment)
    running.start()
    deploy(environment, close)
    with temporary_settings({PREFECT_API_URL: running.api}), get_client(sync_client=True) as prefect:
        silent, _, crashed, *_ = automations.read()
        automations.apply(prefect, [within(SILENCE, silent), within(SOONEST, crashed)])
        yield prefect
    running.stop()


@pytest.fixture
def other() -> Iterator[CloseAccount]:
    """Another organisation, with two leads to delete among three."""
    with Sandbox(leads=0, organization="Other Inc.") as server:
        account = CloseAccount(server)
        account.add(lead("W", "Junk"), lead("X", "Junk"), lead("Y"))
        yield account
        account.close()


@contextmanager
def workers(environment: dict[str, str], folder: Path) -> Generator[Work]:
    """Starts workers that execute one run at a time. At the end of the block, those that are left are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with (folder / f"worker-{len(started)}").open("wb") as log:
            started.append(subprocess.Popen(WORKER, env=environment, cwd=folder, stdout=log, stderr=log))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.kill()
            each.wait(30)


def started(prefect: SyncPrefectClient, cleanup: str, close: CloseAccount) -> UUID:
    """A run of that deployment in the organisation *close*."""
    found = prefect.read_deployment_by_name(f"lead-cleanup/{cleanup}")
    env = {**found.job_variables["env"], "CLOSE_API_URL": close.url}
    parameters = {"match": {"status": ["Junk"]}, "dry_run": False}
    return prefect.create_flow_run_from_deployment(found.id, parameters=parameters, job_variables={"env": env}).id


def test_two_organisations_at_once_and_a_worker_that_is_killed_end_deleted_with_one_post_each(
    on_postgresql: SyncPrefectClient,
    database: PostgreSQL,
    environment: dict[str, str],
    close: CloseAccount,
    other: CloseAccount,
    tmp_path: Path,
) -> None:
    """The other worker takes the lost run over when it is done with its own."""
    prefect, organizations = on_postgresql, (close, other)
    for each in organizations:
        each.jobs(stall_after=1)
    with workers(environment, tmp_path) as start:
        first = start()
        lost = started(prefect, "ad-hoc", close)
        wait_for(close.is_asked_for_its_bulk_delete, close.requests)
        start()
        undisturbed = started(prefect, "junk", other)
        wait_for(other.is_asked_for_its_bulk_delete, other.requests)

        for each in (first.pid, process_of(lost)):
            os.kill(each, signal.SIGKILL)
        left = [len(each.leads()) for each in organizations]
        for each in organizations:
            resume_bulk_delete(each)
        runs = [await_state(prefect, each, "Deleted") for each in (undisturbed, lost)]

    assert left[0] >= 3, "no bulk delete has come further than one lead"
    assert left[1] >= 2
    assert [run.run_count for run in runs] == [1, 2]
    assert [len(each.posts(BULK_DELETE)) for each in organizations] == [1, 1]
    assert [sorted(found["name"] for found in each.leads().values()) for each in organizations] == [["C", "D"], ["Y"]]
    claims = database.query("SELECT name FROM variable WHERE name LIKE 'lead_cleanup_run_%'")
    assert sorted(claims) == sorted(name_of(run.id, 1) for run in runs)


def test_what_is_moved_from_sqlite_keeps_its_claims_its_history_and_its_keys(
    prefect_server: str,
    empty_ledger: None,
    database: PostgreSQL,
    environment: dict[str, str],
    close: CloseAccount,
    lead_cleanup: Command,
    tmp_path: Path,
) -> None:
    """And the server on PostgreSQL continues: the ramp too."""
    Secret(value=SecretStr("api_of_the_test")).save("moved-key")  # pyright: ignore[reportUnknownMemberType]
    live = lead_cleanup(*LIVE).json
    back_up(tmp_path / "copy.db")

    moved, again = (
        subprocess.run([*MOVE, tmp_path / "copy.db"], env=environment, check=False, capture_output=True, text=True)
        for _ in range(2)
    )
    server = PrefectServer((PREFECT, "server", "start"), tmp_path / "server", environment)
    server.start()
    with temporary_settings({PREFECT_API_URL: server.api}):
        ConcurrencySlotAcquisitionWithLeaseService.drain_all()
        checked = lead_cleanup("ledger", "--check")
        recalled = lead_cleanup("report", live["flow_run_id"], "--json")
        key = Secret.load("moved-key").get()  # pyright: ignore
        close.add(lead("E", "Junk"))
        another = lead_cleanup(*LIVE)
    ConcurrencySlotAcquisitionWithLeaseService.drain_all()
    server.stop()

    assert moved.returncode == 0, moved.stderr
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("Nothing was copied. PREFECT_SERVER_DATABASE_CONNECTION_URL is in use")
    assert (checked.code, checked.out.splitlines()[:2]) == (
        0,
        ["No open claims.", "Compared 1 claim with 1 bulk delete that Close lists."],
    )
    assert recalled.json["message"] == live["message"]
    assert key == "api_of_the_test"
    assert another.json["outcome"] == "deleted"
    assert len(database.query("SELECT name FROM variable WHERE name LIKE 'lead_cleanup_run_%'")) == 2


def resume_bulk_delete(close: CloseAccount) -> None:
    """Somebody pauses the one that stalls, and resumes it."""
    [found] = close.get(BULK_DELETE)["data"]
    for status in ("paused", "resuming"):
        close.put(f"{BULK_DELETE}{found['id']}/", status=status)
