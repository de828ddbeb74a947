"""The task that waits for a bulk delete, however long it takes and whatever happens on the way."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, NotFound, RateLimited
from tasks.close.polling import Pace
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger import store as ledger
from tasks.plan.model import Plan
from tasks.report.artifacts import Progress
from tasks.runs.connect import connect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.retries import reads
from tasks.runs.run import Run

logger = logging.getLogger(__name__)

VANISHED_AFTER = 60.0
"""Seconds for which Close may say that it doesn't know a bulk delete: it may not know a new one everywhere at once."""
STALLED_AFTER = 600.0
"""Seconds without any movement after which the log says so; and again whenever as many more are over."""


@dataclass(frozen=True)
class Finished:
    """A bulk delete that Close says is done or in error, and how often we asked."""

    job: BulkDelete
    polls: int


@reads
def wait_for_bulk_delete(run: Run, plan: Plan, bulk_delete_id: str, max_wait_minutes: int) -> Finished:
    """Ask until Close says that the bulk delete is done or in error, and note in the ledger that it is over.

    Close being away doesn't end the wait; the deadline does, as ``still_running``: Close goes on deleting.
    """
    progress = Progress(run, bulk_delete_id)
    with connect(plan.organization_id) as close:
        finished = wait(close, bulk_delete_id, timedelta(minutes=max_wait_minutes), progress.show)
    with log_if_it_fails("Recording the end of the bulk delete"):
        record = ledger.read(run.id)
        if record and record.bulk_delete_id == bulk_delete_id:
            ledger.note(record, ended=str(finished.job.status))
    return finished


def wait(close: CloseClient, bulk_delete_id: str, patience: timedelta, show: Callable[[BulkDelete], None]) -> Finished:
    """See `wait_for_bulk_delete`. *show* gets each answer; what a person may want to look at is logged."""
    started = close.clock()
    deadline = started + patience.total_seconds()
    pace, movement = Pace(started), Movement(started)
    polls = 0
    job: BulkDelete | None = None
    missing_since: float | None = None
    while True:
        polls += 1
        try:
            job = close.bulk_delete(bulk_delete_id)
        except NotFound:
            missing_since = close.clock() if missing_since is None else missing_since
            if close.clock() - missing_since >= VANISHED_AFTER:
                raise Stop(Outcome.UNKNOWN, _vanished(bulk_delete_id, job)) from None
        except (CloseUnavailable, RateLimited) as error:
            logger.warning("Close can't be asked just now, and goes on deleting meanwhile: %s", error)
        else:
            missing_since = None
            show(job)
            if job.finished:
                return Finished(job, polls)
            if word := movement.of(job, close.clock()):
                logger.warning(word)
        now = close.clock()
        if now >= deadline:
            raise Stop(*_at_the_deadline(bulk_delete_id, job, patience))
        ends = deadline if missing_since is None else min(deadline, missing_since + VANISHED_AFTER)
        close.sleep(min(pace.next(job, now), ends - now))  # the last question is asked at the end itself


@dataclass
class Movement:
    """Whether a bulk delete gets on. Says so, once for each status and each stretch of standing still."""

    since: float
    """When (seconds) it last moved, or was last said not to."""
    _last: tuple[object, ...] = field(default=())
    _unknown: str | None = ""

    def of(self, job: BulkDelete, now: float) -> str | None:
        """A sentence on *job*, as Close shows it at *now* (seconds), if there is news that a person should have."""
        seen = (job.status, job.processed, job.total)
        moved, self._last = seen != self._last, seen
        if moved:
            self.since = now
        if not isinstance(job.status, BulkStatus) and job.status != self._unknown:
            self._unknown = job.status
            return f"Bulk delete {job.id} has the status {job.status!r}, which isn't known here. Waiting on."
        if job.status == BulkStatus.PAUSED:
            return f"Bulk delete {job.id} is paused at {job.progress}. {PAUSED}" if moved else None
        if now - self.since >= STALLED_AFTER:
            self.since = now
            return f"Bulk delete {job.id} has stalled: {job.progress} for {STALLED_AFTER / 60:.0f} minutes."
        return None


PAUSED = "Somebody can resume it in Close, or with `lead-cleanup resume` and the id of this run."


def _vanished(bulk_delete_id: str, job: BulkDelete | None) -> str:
    reached = f"; it had come to {job.progress}" if job else ""
    return f"Close does not know bulk delete {bulk_delete_id} any more{reached}. Look at the bulk deletes in Close."


def _at_the_deadline(bulk_delete_id: str, job: BulkDelete | None, patience: timedelta) -> tuple[Outcome, str]:
    """How a wait ends that is over before the bulk delete is. A deadline never means that anything was cancelled."""
    retry = "Retry this run to wait on; it will not start another one."
    if job is None:
        return Outcome.STILL_RUNNING, f"For {patience} nothing was heard of bulk delete {bulk_delete_id}. {retry}"
    text = f"After {patience} Close has not finished bulk delete {bulk_delete_id} ({job.progress}, {job.status})."
    if job.status == BulkStatus.PAUSED:
        return Outcome.STILL_RUNNING, f"{text} {PAUSED}"
    if not isinstance(job.status, BulkStatus):
        return Outcome.UNKNOWN, f"{text} That status isn't known here: look at it in Close. {retry}"
    return Outcome.STILL_RUNNING, f"{text} It goes on deleting. {retry}"
