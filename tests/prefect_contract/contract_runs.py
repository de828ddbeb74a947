"""Real processes, and what the flow runs in them leave behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from contract_flows import Note
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

PREFECT = str(Path(sys.executable).parent / "prefect")
PATIENCE = 90  # seconds; on an idle machine nothing takes more than fifteen

T = TypeVar("T")
Deploy = Callable[..., UUID]
"""See the fixture `deploy`."""


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """What *look* gives, once it gives something. *what* is the sentence if it never does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}; not so within {PATIENCE} seconds.")


@contextmanager
def process(*command: str, log: Path, env: dict[str, str]) -> Generator[None]:
    """A process for the length of the block; its output goes to *log*."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, env=env, cwd=log.parent, stdout=output, stderr=output)
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)


@dataclass(frozen=True)
class Notes:
    """What the processes of a run have noted."""

    file: Path

    def of(self, what: str) -> list[Note]:
        """The notes of that name so far, oldest first."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [each for each in map(Note.model_validate_json, lines) if each.what == what]

    def first(self, what: str) -> Note:
        """The first note of that name, once there is one."""
        return wait_for(f"The run notes {what!r}", lambda: self.of(what))[0]


@dataclass(frozen=True)
class Life:
    """A run of one of the contract's flows by the worker."""

    run_id: UUID
    notes: Notes
    prefect: SyncPrefectClient

    def becomes(self, state: str, otherwise: str) -> FlowRun:
        """The run, once its state is of type *state*. *otherwise* says what it means if it never is."""

        def look() -> FlowRun | None:
            run = self.prefect.read_flow_run(self.run_id)
            return run if run.state and run.state.type.value == state else None

        return wait_for(f"{otherwise} Expected was the state {state}", look)


@dataclass(frozen=True)
class Lives:
    """The runs that the worker has: all are started at once, for each takes its time and most of it is waiting."""

    interrupted: Life
    suspended: Life
    cancelled: Life
    unknown_parameter: Life
