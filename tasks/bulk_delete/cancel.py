"""Cancelling a run: ask Close to pause its bulk delete, see whether it obeys, and say so.

Works from the ledger alone: Prefect calls the hook in a process that knows nothing of the run but its id. Close
documents no way to cancel a bulk delete, and pausing in outline only, so what counts is what Close shows afterwards.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from tasks.backup.archive import Archive
from tasks.bulk_delete.find import find, own
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.report.artifacts import write_report
from tasks.report.model import Report, of_planned
from tasks.runs.connect import PrefectAway, connect
from tasks.runs.logs import in_log_of
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.run import Run, cleanup_of, run_of

logger = logging.getLogger(__name__)

OBEYS_WITHIN = 60.0  # seconds
LOOK_SECONDS = 1.0


def pause_when_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook for a run that is cancelled; Prefect names the arguments. What it can't do, it says in the log."""
    del flow, state
    with in_log_of(flow_run.id):
        cancel(run_of(flow_run, cleanup_of(flow_run)))


def cancel(run: Run) -> Report:
    """Stop what *run* has started, as far as Close lets us, and give the report on it, which is published too.

    May be called again: it asks again, and looks again. Notes in the ledger first that the run is cancelled, so that
    another copy of it starts nothing and no automation lets it go on. Looks for a bulk delete that was claimed for as
    long as it may take to show. Raises `PrefectAway` when the ledger can't be read or written.
    """
    record = ledger.read(run.id)
    if record is None or record.refused:
        report = Report(outcome=Outcome.CANCELLED, message=NOTHING_STARTED, flow_run_id=str(run.id))
        logger.info(NOTHING_STARTED)
    else:
        report = _cancelled(run, ledger.note(record, cancelled_at=record.cancelled_at or datetime.now(UTC)))
    try:
        write_report(run, report, record.organization if record else "")
        if report.backup:
            Archive.at(report.backup).store_report(report)
    except (PrefectAway, Refused) as error:
        logger.warning("The report could not be published: %s", error)
    return report


def pause_running() -> Iterator[str]:
    """Ask Close to pause what runs have started and not ended, in the organisation of the key that is set.

    Gives a sentence on what became of each, and on those in other organisations. Raises `Stop` if one goes on.
    """
    going_on: list[str] = []
    with connect() as close:
        here = close.organization_id()
        for record in ledger.unresolved():
            if record.organization_id != here:
                yield f"Not asked, in another organisation: {record.line}."
                continue
            job = _bulk_delete(close, record)
            if job is None:
                yield f"Close shows nothing of it: {record.line}."
                continue
            job, stands = pause(close, job.id)
            yield f"{job.id} is {job.status} at {job.progress}."
            if not stands:
                going_on.append(job.id)
    if going_on:
        raise Stop(Outcome.FAILED, f"Close does not obey: {', '.join(going_on)} still delete. Pause them in Close.")


def _bulk_delete(close: CloseClient, record: Record) -> BulkDelete | None:
    jobs = close.bulk_deletes()
    return next((each for each in jobs if each.id == record.bulk_delete_id), None) or own(jobs, record)


def pause(close: CloseClient, bulk_delete_id: str) -> tuple[BulkDelete, bool]:
    """Ask Close to pause the bulk delete, and look: as it then stands, and whether nothing more will be deleted.

    Close may refuse the request, or take it and not obey; it is given a minute. Raises a CloseError when nothing can be
    seen.
    """
    try:
        close.pause_bulk_delete(bulk_delete_id)
    except CloseError:
        job = close.bulk_delete(bulk_delete_id)
        return job, _stands(job)
    give_up = close.clock() + OBEYS_WITHIN
    while True:
        job = close.bulk_delete(bulk_delete_id)
        if _stands(job) or close.clock() >= give_up:
            return job, _stands(job)
        close.sleep(LOOK_SECONDS)


def _stands(job: BulkDelete) -> bool:
    return job.finished or job.status == BulkStatus.PAUSED


def _cancelled(run: Run, record: Record) -> Report:
    job, stands = None, False
    bulk_delete_id = record.bulk_delete_id
    try:
        with connect(record.organization_id) as close:
            if bulk_delete_id is None:
                bulk_delete_id = find(close, record).id
                ledger.note(record, bulk_delete_id=bulk_delete_id)
            job, stands = pause(close, bulk_delete_id)
        if job.finished:
            ledger.note(record, ended=str(job.status))
        message = _what_became(run, job, stands)
    except (CloseError, Stop) as error:
        message, stands = _could_not(record, bulk_delete_id, error), False
    logger.log(logging.INFO if stands else logging.WARNING, message)
    return Report(
        outcome=Outcome.CANCELLED,
        message=message,
        **of_planned(record),
        bulk_delete_id=bulk_delete_id,
        processed=job.processed if job else None,
        backup=record.backup.url if record.backup else None,
        flow_run_id=str(run.id),
    )


def _could_not(record: Record, bulk_delete_id: str | None, error: Exception) -> str:
    standing = ledger.read(record.run_id)
    if standing and standing.refused:  # another copy of the run has seen in time that it is cancelled
        return NOTHING_STARTED
    about = f"bulk delete {bulk_delete_id}" if bulk_delete_id else "what it may have started"
    return f"Cancelled, but Close could not be asked to pause {about}: {error}"


NOTHING_STARTED = "Cancelled before anything was started: nothing was deleted."


def _what_became(run: Run, job: BulkDelete, stands: bool) -> str:
    if job.finished:
        return f"Cancelled too late: bulk delete {job.id} is {job.status}, after {job.progress}."
    if stands:
        return (
            f"Cancelled: Close has paused bulk delete {job.id} at {job.progress}. `lead-cleanup resume {run.id}`, "
            "or a retry of the run in Prefect, goes on with it; after seven days Close refuses."
        )
    return (
        f"Cancelled, but Close does not obey: bulk delete {job.id} is {job.status} at {job.progress}, and goes on. "
        "Pause it in Close."
    )
