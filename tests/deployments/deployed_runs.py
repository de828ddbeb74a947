"""Real processes, and the runs that come of them, as these tests see them."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from support.close_account import ADMIN, CloseAccount

PREFECT = str(Path(sys.executable).parent / "prefect")
ROOT = Path(__file__).parent.parent.parent
PATIENCE = 300  # seconds; on an idle machine nothing takes more than forty, but for what has to be looked for long

DEPLOYED = [pytest.mark.server, pytest.mark.system, pytest.mark.xdist_group("deployed")]
"""The marks of tests that share one Prefect server, with everything deployed to it."""

T = TypeVar("T")
StartWorker = Callable[[], AbstractContextManager[object]]
"""See the fixture `start_worker`."""


@contextmanager
def process(*command: str, log: Path, env: dict[str, str], cwd: Path = ROOT) -> Generator[None]:
    """A process for the length of the block; its output goes to the end of *log*."""
    with log.open("ab") as output:
        running = subprocess.Popen(command, env=env, cwd=cwd, stdout=output, stderr=output)
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)


def deploy(environment: dict[str, str], close: CloseAccount) -> None:
    """`make deploy`, with a key of *close*."""
    env = {**environment, "CLOSE_API_KEY": ADMIN, "CLOSE_API_URL": close.url}
    done = subprocess.run(
        [sys.executable, "-m", "deployments"], cwd=ROOT, env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started without" not in done.stdout


class PrefectServer:
    """`prefect server start`, which can be stopped and started again with what it had stored."""

    def __init__(self, command: tuple[str, ...], log: Path, env: dict[str, str]) -> None:
        self.api = env["PREFECT_API_URL"]
        self._start = lambda: process(*command, log=log, env=env)
        self._running = ExitStack()

    def start(self) -> None:
        """Returns when it answers."""
        self._running.enter_context(self._start())
        wait_for(self._answers, lambda: "The Prefect server doesn't start.")

    def stop(self) -> None:
        """By SIGTERM, as a service is stopped."""
        self._running.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health").is_success
        except httpx.HTTPError:
            return False


def wait_for(look: Callable[[], T | None], otherwise: Callable[[], object]) -> T:
    """What *look* gives, once it gives something. *otherwise* says how things stand if it never does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(otherwise())


def await_run(prefect: SyncPrefectClient, wanted: Callable[[FlowRun], bool]) -> FlowRun:
    """The first run that is *wanted*, once it has ended."""

    def look() -> FlowRun | None:
        ended = (run for run in prefect.read_flow_runs() if run.state and run.state.is_final())
        return next(filter(wanted, ended), None)

    return wait_for(
        look, lambda: [(run.name, run.state_name, run.expected_start_time) for run in prefect.read_flow_runs()]
    )


def await_state(prefect: SyncPrefectClient, run_id: UUID, name: str, attempt: int = 0) -> FlowRun:
    """The run, once its state is called that, in its *attempt* or a later one."""

    def look() -> FlowRun | None:
        run = prefect.read_flow_run(run_id)
        return run if run.state_name == name and run.run_count >= attempt else None

    return wait_for(look, lambda: [(state.name, state.message) for state in history(prefect, run_id)])


def history(prefect: SyncPrefectClient, run_id: UUID) -> list[State[Any]]:
    """The states that the run has had, oldest first."""
    return sorted(prefect.read_flow_run_states(run_id), key=lambda state: state.timestamp)


def read_all(api: str, what: str) -> list[dict[str, Any]]:
    """Everything of one kind that the server stores."""
    rows: list[dict[str, Any]] = []
    while True:
        page = httpx.post(f"{api.rstrip('/')}/{what}/filter", json={"offset": len(rows), "limit": 200})
        found: list[dict[str, Any]] = page.raise_for_status().json()
        rows += found
        if len(found) < 200:
            return rows


def within(seconds: float, automation: AutomationCore) -> AutomationCore:
    """*automation*, sooner."""
    assert isinstance(automation.trigger, EventTrigger)
    trigger = automation.trigger.model_copy(update={"within": timedelta(seconds=seconds)})
    return automation.model_copy(update={"trigger": trigger})


def is_alive(run_id: UUID) -> bool:
    """Whether a process runs it."""
    return bool(processes_of(run_id))


def process_of(run_id: UUID) -> int:
    """The process in which the flow runs."""
    [found] = processes_of(run_id)
    return found


def processes_of(run_id: UUID) -> list[int]:
    """Those in which the flow runs: only those of Prefect's engine have the run's id in their environment."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"prefect.engine" in command and str(run_id).encode() in environment:
            found.append(int(folder.name))
    return found
