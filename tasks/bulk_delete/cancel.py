"""Cancelling a run: ask Close to pause its bulk delete, look whether it did, and say so.

Works from the ledger alone: Prefect calls the hook in a process that knows only the run's id. Close documents no way to
cancel a bulk delete, and pausing only in outline, so what counts is what Close shows afterwards.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from tasks.backup.archive import Archive
from tasks.bulk_delete.find import MAY_START_YET, bulk_delete_of, search_until_visible, visible_in_seconds
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.report.artifacts import write_report
from tasks.report.ending import emit_end
from tasks.report.model import Report, of_planned
from tasks.runs.connect import PrefectUnavailable, connect
from tasks.runs.logs import in_log_of, log_if_it_fails
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.run import Run, cleanup_of, run_of

logger = logging.getLogger(__name__)

OBEYS_WITHIN = 60.0  # seconds
PAUSE_LOOK_SECONDS = 1.0


def pause_when_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook for a run that is cancelled; Prefect names the arguments. Failures are logged."""
    del flow, state
    with in_log_of(flow_run.id):
        cancel(run_of(flow_run, cleanup_of(flow_run)))


def cancel(run: Run) -> Report:
    """Pause the bulk delete of *run*, if Close does so; publish the report on it and return it.

    Safe to call repeatedly. First records in the ledger that the run is cancelled, so that another copy of it starts
    nothing and no automation resumes it. Searches for a bulk delete that was claimed for as long as it may take to
    show. Raises `PrefectUnavailable` when the ledger can't be read or written.
    """
    record = ledger.read(run.id)
    if record is None or record.refused:
        report = Report(outcome=Outcome.CANCELLED, message=NOTHING_STARTED, flow_run_id=str(run.id))
        logger.info(NOTHING_STARTED)
    else:
        report = _pause_and_report(run, ledger.update(record, cancelled_at=record.cancelled_at or datetime.now(UTC)))
    try:
        write_report(run, report, record.organization if record else "")
        emit_end(run, report)
        if report.backup:
            Archive.at(report.backup).store_report(report)
    except (PrefectUnavailable, Refused) as error:
        logger.warning("The report could not be published: %s", error)
    return report


def pause_running() -> Iterator[str]:
    """Ask Close to pause the unfinished bulk deletes of all runs, in the organisation of the API key.

    Yields a sentence on what became of each; those in other organisations are only named. Raises `Stop` in the end if
    any isn't known to be paused, and names them.
    """
    records, unreadable = ledger.list_open_claims()
    not_paused = {each.name: each.bulk_delete_id or f"what run {each.run_id} has claimed" for each in records}
    not_paused |= {sentence: sentence.removesuffix(".") for sentence in unreadable}
    try:
        with connect() as close:
            here = close.organization_id()
            for record in records:
                if record.organization_id != here:
                    said, has_paused = f"Not asked, in another organisation: {record.line}.", False
                else:
                    said, has_paused = _pause_claimed(close, record)
                yield said
                if has_paused:
                    del not_paused[record.name]
    except (CloseError, Stop) as error:
        yield f"Close could not be asked: {error}"
    if not_paused:
        names = "; ".join(not_paused.values())
        raise Stop(
            Outcome.FAILED, f"Not known to be paused: {names}. Look in Close, and pause there what still deletes."
        )


def _pause_claimed(close: CloseClient, record: Record) -> tuple[str, bool]:
    """Pause the bulk delete of *record*. Returns what became of it, and whether it deletes nothing more."""
    try:
        job = bulk_delete_of(record, close.bulk_deletes()) if record.bulk_delete_id is None else None
        bulk_delete_id = record.bulk_delete_id or (job and job.id)
        if bulk_delete_id is None:
            may_start_yet = visible_in_seconds(close, record) > 0
            again = f" {MAY_START_YET}" if may_start_yet else ""
            return f"Close shows no bulk delete of it: {record.line}.{again}", not may_start_yet
        job = pause(close, bulk_delete_id)
    except (CloseError, Stop) as error:
        return f"Close could not be asked to pause it: {record.line}. {error}", False
    return f"{job.id} is {job.status} at {job.progress}.", has_stopped(job)


def pause(
    close: CloseClient, bulk_delete_id: str, *, patience: float | None = None, obeys_within: float = OBEYS_WITHIN
) -> BulkDelete:
    """Ask Close to pause the bulk delete, for *patience* (seconds) if given, and return it as Close shows it then.

    Close may refuse the request, or accept it without effect: it is given a time to obey (seconds). Raises a CloseError
    when the bulk delete can't be read.
    """
    try:
        close.pause_bulk_delete(bulk_delete_id, patience=patience)
    except CloseError:
        return close.bulk_delete(bulk_delete_id)
    deadline = close.clock() + obeys_within
    while not has_stopped(job := close.bulk_delete(bulk_delete_id)) and close.clock() < deadline:
        close.sleep(PAUSE_LOOK_SECONDS)
    return job


def has_stopped(job: BulkDelete) -> bool:
    """Whether Close deletes nothing more of it, unless somebody resumes it."""
    return job.finished or job.status == BulkStatus.PAUSED


def _pause_and_report(run: Run, record: Record) -> Report:
    job, level = None, logging.WARNING
    bulk_delete_id = record.bulk_delete_id
    try:
        with connect(record.organization_id) as close:
            if bulk_delete_id is None:
                bulk_delete_id = search_until_visible(close, record).id
                with log_if_it_fails("Recording which bulk delete the run has started"):
                    ledger.update(record, bulk_delete_id=bulk_delete_id)
            job = pause(close, bulk_delete_id)
        if job.finished:
            with log_if_it_fails("Recording the end of the bulk delete"):
                ledger.update(record, ended=str(job.status))
        resume = f"`lead-cleanup resume {run.id}`, or a retry of the run in Prefect,"
        message = what_became(job, "Cancelled", resume)
        level = logging.INFO if has_stopped(job) else logging.WARNING
    except (CloseError, Stop) as error:
        message = _could_not(record, bulk_delete_id, error)
    logger.log(level, message)
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
    latest = ledger.read(record.run_id)
    if latest and latest.refused:  # another copy of the run saw in time that it is cancelled
        return NOTHING_STARTED
    return not_asked("Cancelled", bulk_delete_id, error)


NOTHING_STARTED = "Cancelled before anything was started: nothing was deleted."


def not_asked(done: str, bulk_delete_id: str | None, error: Exception) -> str:
    """A sentence on a bulk delete that Close could not be asked to pause. *done* is its beginning, as below."""
    about = f"bulk delete {bulk_delete_id}" if bulk_delete_id else "what it may have started"
    return f"{done}, but Close could not be asked to pause {about}: {error}"


def what_became(job: BulkDelete, done: str, resume: str) -> str:
    """A sentence on what became of a run's bulk delete.

    *done* is its beginning, such as "Cancelled"; *resume* names the ways to resume it.
    """
    if job.finished:
        return f"{done} too late: bulk delete {job.id} is {job.status}, after {job.progress}."
    if has_stopped(job):
        return (
            f"{done}: Close has paused bulk delete {job.id} at {job.progress}. {resume} resumes it; after seven days "
            "Close refuses."
        )
    return (
        f"{done}, but Close did not pause bulk delete {job.id}: it is {job.status} at {job.progress}, and still "
        "deletes. Pause it in Close."
    )
