"""Attempts of runs and what they leave, as somebody who upgrades sees them."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Crashed
from support.close_account import CloseAccount
from support.terminal_session import Command

BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""As deployments/automations.yaml of version 0.1 says: somebody who upgrades has deployed it, and may keep it."""


@pytest.fixture
def call(lead_cleanup: Command) -> Command:
    """Calls ``lead-cleanup``, whose name is the flow's here."""
    return lead_cleanup


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
