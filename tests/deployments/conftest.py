"""A Prefect server, a worker and the deployments of prefect.yaml, all as real processes."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from deployed_runs import PREFECT, PrefectServer, StartWorker, deploy, process
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.close_account import CloseAccount, lead
from support.migrated import copy_to_home

from deployments.up.environment import SERVER


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of everything that belongs to the server under test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_"))}
    return {
        **clean,
        **SERVER,
        "PREFECT_HOME": str(tmp_path_factory.mktemp("server")),
        "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data")),  # where backups go
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }


@pytest.fixture(scope="session")
def prefect_server_process(
    prefect_environment: dict[str, str], prefect_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrefectServer]:
    """`prefect server start`, with schedules."""
    copy_to_home(prefect_database, Path(prefect_environment["PREFECT_HOME"]))
    log = tmp_path_factory.mktemp("logs") / "server"
    running = PrefectServer((PREFECT, "server", "start"), log, prefect_environment)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server(prefect_server_process: PrefectServer) -> str:
    """The address of its API."""
    return prefect_server_process.api


@pytest.fixture(scope="session")
def deployed(server: str, prefect_environment: dict[str, str], running_sandbox: CloseAccount) -> str:
    """What `make deploy` does."""
    deploy(prefect_environment, running_sandbox)
    return server


@pytest.fixture
def prefect(deployed: str) -> Iterator[SyncPrefectClient]:
    """A client of the server under test."""
    with temporary_settings({PREFECT_API_URL: deployed}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def undeployed(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """A client of a server without deployments and keys, on which everything that a test starts lands."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with get_client(sync_client=True) as client:
        for each in client.read_deployments():
            client.delete_deployment(each.id)
        for each in client.read_block_documents_by_type("secret"):
            client.delete_block_document(each.id)
        yield client


@pytest.fixture
def start_worker(
    deployed: str, prefect_environment: dict[str, str], sandbox: CloseAccount, tmp_path: Path
) -> StartWorker:
    """A process worker for the length of a block, stopped by SIGTERM as a service is.

    It has no key of its own, and is started in a folder that isn't the project's.
    """
    env = {**prefect_environment, "CLOSE_API_URL": sandbox.url}
    command = (PREFECT, "worker", "start", "--pool", "lead-cleanup")
    return lambda: process(*command, log=tmp_path / "worker", env=env, cwd=tmp_path)


@pytest.fixture
def worker(prefect: SyncPrefectClient, start_worker: StartWorker) -> Iterator[SyncPrefectClient]:
    """A worker, and a client of its server."""
    with start_worker():
        yield prefect


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Two leads to delete among four."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"), lead("D"))
    return sandbox


@pytest.fixture
def asked(prefect: SyncPrefectClient, close: CloseAccount) -> UUID:
    """A run that asks for an approval, once a worker takes it."""
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    parameters = {"match": {"status": ["Junk"]}, "dry_run": False, "approval": "above 1"}
    return prefect.create_flow_run_from_deployment(ad_hoc.id, parameters=parameters).id
