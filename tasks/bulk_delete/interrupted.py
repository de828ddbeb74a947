"""What a process does at once when a person has suspended or cancelled its run: ask Close to pause the bulk delete.

Prefect calls its hook for a cancelled run too, some twenty seconds later and in another process: see `cancel`.
"""

import logging
from datetime import UTC, datetime

from tasks.bulk_delete.cancel import has_stopped, pause, what_became
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete
from tasks.ledger import store as ledger
from tasks.runs.connect import connect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Stop
from tasks.runs.own_state import current_state
from tasks.runs.run import Run

logger = logging.getLogger(__name__)


def pause_suspended(run: Run, known: str | None) -> tuple[str, BulkDelete | None]:
    """Ask Close to pause the bulk delete of *run*, which a person has suspended, unless it has stopped.

    *known* is its id, as far as this process knows it: recording it may have failed. Returns a sentence on what became
    of it, and the bulk delete as Close shows it; None if there is none to show.
    """
    resume = f"Resume in Prefect, or `lead-cleanup resume {run.id}`,"
    try:
        record = ledger.read(run.id)
        if record is None or record.refused:
            return f"Suspended before anything was started: nothing was deleted. {resume} continues.", None
        if record.ended:
            return f"Suspended after its bulk delete had ended ({record.ended}). {resume} continues.", None
        bulk_delete_id = record.bulk_delete_id or known
        if bulk_delete_id is None:
            return f"Suspended without knowing what it has started. {resume} looks for it.", None
        with connect(record.organization_id) as close:
            job = close.bulk_delete(bulk_delete_id)
            if not has_stopped(job):
                job = pause(close, bulk_delete_id, once=True)
    except (CloseError, Stop) as error:
        return f"Suspended, but Close could not be asked to pause what this run may have started: {error}", None
    return what_became(job, "Suspended", resume), job


def pause_if_cancelled(run: Run, organization_id: str, known: str | None) -> BulkDelete | None:
    """Ask Close once to pause the bulk delete, if Prefect says that *run* is being cancelled; return Close's answer.

    *known* is its id; None if this process doesn't know it, and the ledger may.
    For a process that is being terminated: it neither searches nor waits. A worker that is stopped terminates its runs
    too: where Prefect says nothing of a cancellation, or nothing at all, the bulk delete is left alone.
    """
    bulk_delete_id = known
    try:
        state = current_state(run.id)
        if state is None or not (state.is_cancelling() or state.is_cancelled()):
            return None
        if bulk_delete_id is None and (record := ledger.read(run.id)) and not record.ended:
            bulk_delete_id = record.bulk_delete_id
        if bulk_delete_id is None:
            return None
        with connect(organization_id) as close:
            job = close.pause_bulk_delete(bulk_delete_id, once=True)
    except (CloseError, Stop) as error:
        logger.warning("The bulk delete %s could not be paused at once: %s", bulk_delete_id or "of this run", error)
        return None
    with log_if_it_fails("Recording the cancellation"):
        if (record := ledger.read(run.id)) and not record.ended:
            ledger.update(record, cancelled_at=record.cancelled_at or datetime.now(UTC))
    return job
