"""What happens to a run after its first attempt, in this process: what Prefect, automations and people do with it."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Cancelling, Suspended
from support.prefect_database import in_database, stored

from flows.lead_cleanup import lead_cleanup
from tasks.bulk_delete.cancel import cancel
from tasks.bulk_delete.resume import permit
from tasks.ledger import store as ledger
from tasks.report.artifacts import recall_report
from tasks.report.ending import report_of
from tasks.report.model import Report
from tasks.runs.alive import Superseded
from tasks.runs.run import cleanup_of, run_of


def created(parameters: dict[str, Any]) -> FlowRun:
    """A run that nobody has tried yet."""
    with get_client(sync_client=True) as prefect:
        return prefect.create_flow_run(lead_cleanup, parameters=parameters)


def on_one_tick(parameters: list[dict[str, Any]], marks: list[int]) -> list[FlowRun]:
    """Runs that nobody has tried yet, due in the same second; the last six digits of their ids are their *marks*.

    The API lets nobody choose a run's id, nor when a run that isn't scheduled is due.
    """
    due = datetime.now(UTC).isoformat()
    found: list[FlowRun] = []
    for each, mark in zip(parameters, marks, strict=True):
        run = created(each)
        run_id = UUID(int=run.id.int // 1_000_000 * 1_000_000 + mark)
        in_database(
            (
                "UPDATE flow_run SET id = ?, expected_start_time = ? WHERE id = ?",
                (str(run_id), stored(due), str(run.id)),
            ),
            ("UPDATE flow_run_state SET flow_run_id = ? WHERE flow_run_id = ?", (str(run_id), str(run.id))),
        )
        with get_client(sync_client=True) as prefect:
            found.append(prefect.read_flow_run(run_id))
    return found


def attempt(run: FlowRun) -> Report | None:
    """One attempt of the run; None if it ends without a report, as one does that a later one supersedes."""
    try:
        report = report_of(run_flow(lead_cleanup, flow_run=run, parameters=run.parameters, return_type="state"))  # pyright: ignore[reportArgumentType]
    except Superseded:
        return None
    assert report is None or isinstance(report, Report)
    return report


def tried_again(run_id: UUID | str, message: str | None = None) -> Report:
    """The report of one more attempt, which somebody or, if *message* says so, something has asked for."""
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(UUID(str(run_id)), AwaitingRetry(message=message), force=True)
        report = attempt(prefect.read_flow_run(UUID(str(run_id))))
    assert report
    return report


def start_again(run_id: UUID | str) -> Report:
    """What ``lead-cleanup resume RUN --start-again`` does, and the report of what comes of it."""
    with get_client(sync_client=True) as prefect:
        permit(prefect.read_flow_run(UUID(str(run_id))), ledger.read(UUID(str(run_id))), "a test")
    return tried_again(run_id)


def cancelled(run_id: UUID | str) -> Report:
    """What cancelling in Prefect comes to, once the flow's process is gone."""
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(UUID(str(run_id)), Cancelling(), force=True)
        run = prefect.read_flow_run(UUID(str(run_id)))
    return cancel(run_of(run, cleanup_of(run)))


def suspend(run_id: UUID | str, server: SyncPrefectClient | None = None) -> None:
    """What *Suspend* in the Prefect UI sends, to this *server* if it isn't that of this process."""
    with nullcontext(server) if server else get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(UUID(str(run_id)), Suspended(timeout_seconds=300), force=True)


def suspended_attempt(run: FlowRun) -> Report:
    """One attempt of a run that somebody suspends meanwhile: the report that it leaves."""
    with pytest.raises(Pause):
        attempt(run)
    return Report.model_validate(recall_report(run.id))


def wait_until(true: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
