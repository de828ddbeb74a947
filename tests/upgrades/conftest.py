"""The command line, attempts of runs, and an organisation, as whoever upgrades meets them."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Crashed
from support.close_account import CloseAccount

from flows import cli

BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""As deployments/automations.yaml of version 0.1 says: whoever upgrades has deployed that one, and may keep it."""


class Said(NamedTuple):
    """What a command has left at the terminal."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return cast("dict[str, Any]", json.loads(self.out))


Command = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    """``lead-cleanup`` with these words, in this process."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = cli.call(words)
        out, err = capsys.readouterr()
        return Said(code, str(out), str(err))

    return call


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of backups, which isn't there yet."""
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(tmp_path / "backups"))
    return tmp_path / "backups"


def attempt(run_id: str) -> None:
    """What a worker does: one attempt of the run. It may end with a request for approval."""
    from flows.lead_cleanup import lead_cleanup

    with get_client(sync_client=True) as prefect:
        run = prefect.read_flow_run(UUID(run_id))
    with suppress(Pause):
        run_flow(lead_cleanup, flow_run=run, parameters=run.parameters, return_type="state")  # pyright: ignore[reportArgumentType]


def tried_again_by_automation(run_id: str) -> None:
    """An attempt of a run whose process is gone, after the automations have found that out."""
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(UUID(run_id), Crashed())
        prefect.set_flow_run_state(UUID(run_id), AwaitingRetry(message=BY_AUTOMATION), force=True)
    attempt(run_id)


def state_of(run_id: str) -> str:
    """The name of the run's state."""
    with get_client(sync_client=True) as prefect:
        return str(prefect.read_flow_run(UUID(run_id)).state_name)


def variables() -> list[str]:
    """The names of all Variables, in their order."""
    with get_client(sync_client=True) as prefect:
        return sorted(each.name for each in prefect.read_variables())


def bulk_deletes(sandbox: CloseAccount) -> int:
    """How many bulk deletes were asked for."""
    return len(sandbox.posts("/bulk_action/delete/"))
