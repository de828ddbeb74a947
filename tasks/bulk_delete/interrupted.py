"""What a process does at once when a person has suspended or cancelled its run: ask Close to pause the bulk delete.

Prefect calls its hook for a cancelled run too, some twenty seconds later and in another process: see `cancel`.
"""

import logging
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.bulk_delete.cancel import NOTHING_STARTED, has_stopped, not_asked, pause, what_became
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.runs.connect import PrefectUnavailable, connect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Stop
from tasks.runs.own_state import current_state
from tasks.runs.run import Run

logger = logging.getLogger(__name__)


SOON = 10.0
"""Seconds for which to ask Close again, and then to wait until it obeys.

Prefect kills a process 30 s after it has asked it to end.
"""


class Interrupted(NamedTuple):
    """What became of a bulk delete whose run a person has interrupted."""

    sentence: str
    bulk_delete_id: str | None = None
    job: BulkDelete | None = None
    """As Close shows it; None if there is none to show."""


def pause_suspended(run: Run, known: str | None) -> Interrupted:
    """Ask Close to pause the bulk delete of *run*, which a person has suspended, unless it has stopped.

    *known* is its id, as far as this process knows it: recording it may have failed.
    """
    resume = f"Resume in Prefect, or `lead-cleanup resume {run.id}`,"
    try:
        record = ledger.read(run.id)
    except PrefectUnavailable as error:
        return Interrupted(not_asked("Suspended", known, error), known)
    if record is None or record.refused:
        return Interrupted(f"Suspended before anything was started: nothing was deleted. {resume} continues.")
    if record.ended:
        return Interrupted(f"Suspended after its bulk delete had ended ({record.ended}). {resume} continues.")
    return _pause(record, known, "Suspended", resume)


def pause_cancelled(run: Run, known: str | None) -> Interrupted | None:
    """Ask Close to pause the bulk delete of *run*, if Prefect says that the run is being cancelled; None if not.

    A worker that is stopped terminates its runs too: where Prefect says nothing of a cancellation, or nothing at all,
    the bulk delete is left alone. Records in the ledger that the run is cancelled, so that no automation resumes it.
    """
    try:
        state = current_state(run.id)
        if state is None or not (state.is_cancelling() or state.is_cancelled()):
            return None
        record = ledger.read(run.id)
    except PrefectUnavailable as error:
        logger.warning("Whether the run is cancelled isn't known, and so its bulk delete is left alone: %s", error)
        return None
    if record is None or record.refused:
        return Interrupted(NOTHING_STARTED)
    if record.ended:
        return None
    resume = f"`lead-cleanup resume {run.id}`, or a retry of the run in Prefect,"
    interrupted = _pause(record, known, "Cancelled", resume)
    with log_if_it_fails("Recording the cancellation"):
        if (record := ledger.read(run.id)) and not record.ended:
            ledger.update(record, cancelled_at=record.cancelled_at or datetime.now(UTC))
    return interrupted


def _pause(record: Record, known: str | None, done: str, resume: str) -> Interrupted:
    """Ask Close to pause what *record* claims, without searching for it."""
    bulk_delete_id = record.bulk_delete_id or known
    if bulk_delete_id is None:
        return Interrupted(f"{done} without knowing what it has started. {resume} looks for it.")
    try:
        with connect(record.organization_id) as close:
            job = close.bulk_delete(bulk_delete_id)
            if not has_stopped(job):
                job = pause(close, bulk_delete_id, patience=SOON, obeys_within=SOON)
    except (CloseError, Stop) as error:
        return Interrupted(f"{not_asked(done, bulk_delete_id, error)} Pause it in Close.", bulk_delete_id)
    return Interrupted(what_became(job, done, resume), bulk_delete_id, job)
