"""A Prefect server that wants credentials: with them everything works, without them each command says which to set."""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest
from deployed_runs import PREFECT, PrefectServer, await_run, deploy, process
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from support.close_account import CloseAccount
from support.migrated import copy_to_home
from support.terminal_session import Command
from support.variations import first

from deployments.up.environment import SERVER

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.server,
    pytest.mark.xdist_group("basic auth"),
    pytest.mark.timeout(400),
]

RUN = str(uuid4())
COMMANDS = {
    "run": ("run", "--match.status", "Junk", "--no-dry-run"),
    "stop": ("stop", "importing"),
    "go": ("go",),
    "resume": ("resume", RUN),
    "approve": ("approve", RUN, "--leads", "2"),
    "ledger": ("ledger",),
    "report": ("report", RUN),
    "backups": ("backups", "--prune"),
}
WRONG: dict[str | None, str] = {
    None: "requires credentials (401), and none are set: set PREFECT_API_AUTH_STRING to USER:PASSWORD.",
    "ann:wrong": "refuses the credentials (401): set PREFECT_API_AUTH_STRING to those of that server.",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_"))},
        "PREFECT_HOME": str(tmp_path_factory.mktemp("guarded")),
        "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data")),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": "ann:secret",
        "PREFECT_SERVER_API_AUTH_STRING": "ann:secret",
        **SERVER,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }


@pytest.fixture(scope="module")
def guarded(
    environment: dict[str, str], prefect_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that wants credentials."""
    copy_to_home(prefect_database, Path(environment["PREFECT_HOME"]))
    running = PrefectServer((PREFECT, "server", "start"), tmp_path_factory.mktemp("logs") / "server", environment)
    running.start()
    yield running.api
    running.stop()


def reaching(address: str, credentials: str | None) -> AbstractContextManager[object]:
    """For the length of a block, Prefect's client asks the server at *address* with these *credentials*."""
    return temporary_settings({PREFECT_API_URL: address, PREFECT_API_AUTH_STRING: credentials})


@pytest.mark.parametrize(
    ("command", "credentials"), first(2, [("stop", "ann:wrong"), *((command, None) for command in COMMANDS)])
)
def test_without_the_credentials_a_command_says_what_to_set_and_does_nothing(
    lead_cleanup: Command, guarded: str, close: CloseAccount, command: str, credentials: str | None
) -> None:
    with reaching(guarded, credentials):
        said = lead_cleanup(*COMMANDS[command])

    said.is_one_line(f"The Prefect server at {guarded} {WRONG[credentials]}")
    assert "secret" not in said.err
    assert close.requests() == []


@pytest.mark.parametrize("credentials", WRONG, ids=("missing", "wrong"))
def test_the_doctor_lists_it_beside_what_it_finds_in_close(
    lead_cleanup: Command, guarded: str, close: CloseAccount, credentials: str | None
) -> None:
    with reaching(guarded, credentials):
        wrong = lead_cleanup("doctor")
    with reaching(guarded, "ann:secret"):
        right = lead_cleanup("doctor")

    assert wrong.code == 1
    assert f"✗ Prefect: The Prefect server at {guarded} {WRONG[credentials]}" in wrong.out
    assert "✓ key: works" in wrong.out
    assert right.code == 0
    assert "✓ Prefect: " in right.out


def test_with_them_a_run_plans_deletes_and_is_recorded(
    lead_cleanup: Command, guarded: str, close: CloseAccount
) -> None:
    with reaching(guarded, "ann:secret"):
        dry = lead_cleanup("run", "--match.status", "Junk", "--json")
        live = lead_cleanup("run", "--match.status", "Junk", "--no-dry-run", "--expect", "2", "--json")
        recalled = lead_cleanup("report", live.json["flow_run_id"], "--json")

    assert (dry.code, dry.json["outcome"], dry.json["planned"]) == (0, "dry_run", 2)
    assert (live.code, live.json["outcome"]) == (0, "deleted")
    assert recalled.json["message"] == live.json["message"]
    assert len(close.leads()) == 2


@pytest.mark.exhaustive
def test_with_them_a_worker_runs_what_is_deployed(
    guarded: str, environment: dict[str, str], close: CloseAccount, tmp_path: Path
) -> None:
    deploy(environment, close)
    worker = (PREFECT, "worker", "start", "--pool", "lead-cleanup")
    env = {**environment, "CLOSE_API_URL": close.url}
    with (
        reaching(guarded, "ann:secret"),
        get_client(sync_client=True) as prefect,
        process(*worker, log=tmp_path / "worker", env=env, cwd=tmp_path),
    ):
        ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
        run = prefect.create_flow_run_from_deployment(ad_hoc.id, parameters={"match": {"status": ["Junk"]}})
        ended = await_run(prefect, lambda found: found.id == run.id)

    assert ended.state_name == "DryRun"
