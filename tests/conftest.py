"""What all tests share: a sandbox that is empty again for each test, a Prefect server, and a way to run a cleanup."""

import gc
import os
import shutil
import signal
import ssl
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from support.cleanups import Ended, RunCleanup
from support.close_account import ADMIN, CloseAccount
from support.fake_clock import FakeClock
from support.migrated import migrated_database
from support.terminal_session import Command, Said

from deployments.sandbox.server import Sandbox
from flows import cli

if TYPE_CHECKING:
    from support.approvals import Ask

# A shell that runs the tests in the background makes them ignore Ctrl-C, and so every process that they start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", derandomize=True, deadline=None)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what needs no Prefect server, while one worker makes the database that all servers start with.

    Then come the tests that share a server of their own, since they take longest, and the others last.
    """
    items.sort(key=_order)


def _order(item: pytest.Item) -> int:
    if not item.get_closest_marker("server"):
        return 0
    return 1 if item.get_closest_marker("xdist_group") else 2


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the first of several workers begin with that database now."""
    gc.freeze()  # what was imported and collected stays, so no garbage collection need look at it again
    kept = _kept(session.config)
    if kept and os.environ.get("PYTEST_XDIST_WORKER") == "gw0" and any(map(_order, session.items)):
        Thread(target=migrated_database, args=(kept,), daemon=True).start()


def _kept(config: pytest.Config) -> Path | None:
    """The folder that outlives this run of the tests; None if there is to be none."""
    return config.cache.mkdir("prefect") if config.pluginmanager.hasplugin("cacheprovider") and config.cache else None


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """Each client of Prefect's reads them for itself, ten in a run, and that takes as long as a request."""
    with patch("ssl.create_default_context", cache(ssl.create_default_context)):
        yield


@pytest.fixture(autouse=True)
def settings_of_the_test_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor a `.env` of the person who runs the tests counts, and nothing goes to their home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in list(os.environ):
        if name.startswith("CLOSE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOSE_RETRY_DELAYS", "never")


@pytest.fixture(autouse=True)
def clients_of_the_test_only() -> Iterator[None]:
    """What a process knows of Close, of keys, and of the Prefect server that its events go to ends with the test."""
    yield
    if worker := sys.modules.get("prefect.events.worker"):
        worker.EventsWorker.drain_all(timeout=1)  # a server that is gone would be asked for 47 s
    if connect := sys.modules.get("tasks.runs.connect"):
        connect.forget_clients()


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[CloseAccount]:
    with Sandbox(leads=0, leads_per_second=5000) as server:
        account = CloseAccount(server)
        yield account
        account.close()


@pytest.fixture
def sandbox(running_sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch) -> CloseAccount:
    """An organisation without leads, and the settings that point to it."""
    running_sandbox.reset()
    monkeypatch.setenv("CLOSE_API_URL", running_sandbox.url)
    monkeypatch.setenv("CLOSE_API_KEY", ADMIN)
    return running_sandbox


@pytest.fixture(scope="session")
def prefect_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database for a Prefect server to start with a copy of. It is kept for later runs of the tests."""
    return migrated_database(_kept(request.config) or tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def prefect_server(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with a database of its own; gives its API's address.

    Off inside is what takes time and changes no run: heartbeats, a second for every flow; the tokens against CSRF, for
    which each client asks first; logs and events on their way to the server. What records events gets in the way of a
    concurrency limit's slots on SQLite, too, which Prefect's client then asks for again two seconds later.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    for service in ("EVENT_PERSISTER", "TASK_RUN_RECORDER", "TRIGGERS"):
        os.environ[f"PREFECT_SERVER_SERVICES_{service}_ENABLED"] = "false"
    folder = tmp_path_factory.mktemp("database")
    shutil.copy(prefect_database, folder / "prefect-test.db")  # where Prefect's harness has it
    with (
        patch("prefect.testing.utilities.mkdtemp", return_value=str(folder)),
        prefect_test_harness(server_startup_timeout=120),
        patch("prefect.events.utilities.should_emit_events", partial(_is_another_server, PREFECT_API_URL.value())),
        temporary_settings(
            {
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
                PREFECT_LOGGING_TO_API_ENABLED: False,
            }
        ),
    ):
        yield PREFECT_API_URL.value()


def _is_another_server(api: str | None) -> bool:
    """Whether what is sent now goes elsewhere: a worker of the tests may have a second server, with deployments."""
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() != api


@pytest.fixture
def empty_ledger(prefect_server: str) -> None:
    """No run has claimed anything, and none is running: what one test leaves would hold up the runs of the next.

    Nor does Prefect still ask a server that another test had for a concurrency limit's slot: for each limit it keeps
    the client that it had first.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.concurrency.services import ConcurrencySlotAcquisitionWithLeaseService
    from prefect.states import Crashed

    ConcurrencySlotAcquisitionWithLeaseService.drain_all(timeout=1)
    running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}})
    with get_client(sync_client=True) as prefect:
        for variable in prefect.read_variables():
            prefect.delete_variable_by_name(variable.name)
        for run in prefect.read_flow_runs(flow_run_filter=running):
            prefect.set_flow_run_state(run.id, Crashed(), force=True)


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Runs in this process wait for Close by a clock that leaps, and don't look at their own state meanwhile."""
    clock = FakeClock()
    monkeypatch.setattr("tasks.runs.connect.sleep", clock.sleep)
    monkeypatch.setattr("tasks.runs.connect.clock", clock)
    monkeypatch.setattr("tasks.runs.own_state.LOOK_SECONDS", 3600.0)
    return clock


@pytest.fixture
def run_cleanup(prefect_server: str, empty_ledger: None) -> RunCleanup:
    """Runs the flow in this process; parameters are given as people write them."""
    from flows.lead_cleanup import lead_cleanup
    from tasks.report.ending import report_of

    def run(**parameters: Any) -> Ended:
        state = lead_cleanup(**parameters, return_state=True)
        return Ended(str(state.name), state.type.value, str(state.message), report_of(state))

    return run


@pytest.fixture
def lead_cleanup(capsys: pytest.CaptureFixture[str]) -> Command:
    """Calls ``lead-cleanup`` with these words, in this process."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = cli.call(words)
        out, err = capsys.readouterr()
        return Said(code, str(out), str(err))

    return call


@pytest.fixture
def ask(prefect_server: str, empty_ledger: None) -> "Iterator[Ask]":
    """A run of a deployment of its own, or of one that there is, that waits for approval unless told otherwise."""
    from support.approvals import asking

    with asking() as ask:
        yield ask
