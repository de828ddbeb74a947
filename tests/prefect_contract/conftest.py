"""A Prefect server, a worker and the runs that it has, all as real processes, for what this project leans on."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import contract_flows
import httpx
import pytest
from contract_runs import PREFECT, Deploy, Life, Lives, Notes, process, wait_for
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.events.worker import EventsWorker
from prefect.flows import Flow
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings
from prefect.utilities.callables import parameter_schema
from support.migrated import copy_to_home

FOLDER = Path(__file__).parent
POOL = "contract"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="session")
def environment(folder: Path) -> dict[str, str]:
    """The environment of everything that belongs to the server under test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_"))},
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }


@pytest.fixture(scope="session")
def server(environment: dict[str, str], prefect_database: Path, folder: Path) -> Iterator[str]:
    """`prefect server start`; gives its API's address."""
    copy_to_home(prefect_database, folder / "home")
    api = environment["PREFECT_API_URL"]

    def healthy() -> bool:
        try:
            return httpx.get(f"{api}/health").is_success
        except httpx.HTTPError:
            return False

    with process(PREFECT, "server", "start", log=folder / "server.log", env=environment):
        wait_for("`prefect server start` answers", healthy)
        yield api
        EventsWorker.drain_all()
        APILogWorker.drain_all()  # of the flows that ran in this process: what is not sent now, fails to be sent later


@pytest.fixture(scope="session")
def prefect(server: str) -> Iterator[SyncPrefectClient]:
    """A client of the server under test."""
    with SyncPrefectClient(server) as client:
        yield client


@pytest.fixture
def here(server: str, folder: Path) -> Iterator[None]:
    """Flows that are called in this process are runs of the server under test; heartbeats cost each a second."""
    home = folder / "home"
    with temporary_settings({PREFECT_API_URL: server, PREFECT_HOME: home, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture(scope="session")
def deploy(prefect: SyncPrefectClient) -> Deploy:
    """Deploys one of the contract's flows, as prefect.yaml does; gives the deployment's id."""
    prefect.create_work_pool(WorkPoolCreate(name=POOL, type="process"))

    def deployment(
        flow: Flow[..., Any],
        name: str = "contract",
        schedule: SCHEDULE_TYPES | None = None,
        concurrency_limit: int | None = None,
        **given: Any,
    ) -> UUID:
        return prefect.create_deployment(
            prefect.create_flow(flow),
            name,
            entrypoint=f"contract_flows.py:{flow.fn.__name__}",
            work_pool_name=POOL,
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(FOLDER)}}],
            parameters=given,
            parameter_openapi_schema=parameter_schema(flow.fn).model_dump_for_openapi(),
            enforce_parameter_schema=True,
            concurrency_limit=concurrency_limit,
            schedules=[DeploymentScheduleCreate(schedule=schedule, active=True)] if schedule else None,
        )

    return deployment


@pytest.fixture(scope="session")
def lives(prefect: SyncPrefectClient, deploy: Deploy, environment: dict[str, str], folder: Path) -> Iterator[Lives]:
    def start(flow: Flow[..., Any], **given: Any) -> Life:
        file = folder / f"{flow.fn.__name__}.notes"
        run = prefect.create_flow_run_from_deployment(
            deploy(flow), parameters={"notes": str(file), **given}, tags=["contract"]
        )
        return Life(run.id, Notes(file), prefect)

    with process(PREFECT, "worker", "start", "--pool", POOL, log=folder / "worker.log", env=environment):
        yield Lives(
            interrupted=start(contract_flows.interrupted),
            suspended=start(contract_flows.suspended),
            cancelled=start(contract_flows.cancelled),
            unknown_parameter=start(contract_flows.prompt, matches={"status": ["Junk"]}),
        )
