"""The task that waits for a bulk delete, however long it takes, and through Close being away."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, CloseUnavailable, NotFound, RateLimited
from tasks.close.polling import next_poll
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger import store as ledger
from tasks.plan.model import Plan
from tasks.report.progress import Progress
from tasks.runs.connect import connect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.own_state import OwnState
from tasks.runs.retries import reads
from tasks.runs.run import Run
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

VANISHED_AFTER = 60.0
"""Seconds for which Close may say that it doesn't know a bulk delete: it may not know a new one everywhere at once."""
STALLED_AFTER = 600.0
"""Seconds without progress after which the log says so, and again after as many more."""


@dataclass(frozen=True)
class Finished:
    """A bulk delete that Close says is done or in error, and how often we polled."""

    job: BulkDelete
    polls: int


@reads
def wait_for_bulk_delete(run: Run, plan: Plan, bulk_delete_id: str, max_wait_minutes: int) -> Finished:
    """Poll until Close says that the bulk delete is done or in error, and record in the ledger that it has ended.

    Close being away doesn't end the wait. The deadline does, and so does what keeps the run from looking, such as a
    revoked key: both as ``still_running``, since Close is still deleting. Raises `Suspended` when a person suspends the
    run.
    """
    with connect(plan.organization_id) as close:
        show = Shown(Progress("deleted", close.clock, every=0)).show
        finished = wait(close, bulk_delete_id, timedelta(minutes=max_wait_minutes), show)
    with log_if_it_fails("Recording the end of the bulk delete"):
        record = ledger.read(run.id)
        not_recorded = record and record.bulk_delete_id is None and record.ended is None
        if record and (not_recorded or record.bulk_delete_id == bulk_delete_id):
            ledger.update(record, bulk_delete_id=bulk_delete_id, ended=str(finished.job.status))
    return finished


def wait(close: CloseClient, bulk_delete_id: str, patience: timedelta, show: Callable[[BulkDelete], None]) -> Finished:
    """See `wait_for_bulk_delete`. Calls *show* with each answer; logs what a person may want to look at."""
    started = close.clock()
    deadline = started + patience.total_seconds()
    movement, own, polls = Movement(started), OwnState(), 0
    job: BulkDelete | None = None
    missing_since: float | None = None
    while True:
        polls += 1
        try:
            job = close.bulk_delete(bulk_delete_id)
        except NotFound:
            missing_since = close.clock() if missing_since is None else missing_since
            if close.clock() >= missing_since + VANISHED_AFTER:
                raise Stop(Outcome.UNKNOWN, _vanished(bulk_delete_id, job)) from None
        except (CloseUnavailable, RateLimited) as error:
            logger.warning("Could not ask Close, which keeps deleting meanwhile: %s", error)
        except CloseError as error:  # it refuses the key, not the bulk delete
            raise Stop(Outcome.STILL_RUNNING, out_of_sight(bulk_delete_id, error, job)) from error
        else:
            missing_since = None
            show(job)
            if job.finished:
                return Finished(job, polls)
            if news := movement.of(job, close.clock()):
                logger.warning(news)
        now = close.clock()
        if now >= deadline:
            raise Stop(*_at_the_deadline(bulk_delete_id, job, patience))
        ends = deadline if missing_since is None else min(deadline, missing_since + VANISHED_AFTER)
        own.sleep(close.sleep, min(next_poll(now - started), ends - now))  # polls a last time at the deadline itself


@dataclass
class Shown:
    """Shows a bulk delete at work: its status and its progress, each when it changes."""

    progress: Progress
    _status: str | None = ""

    def show(self, job: BulkDelete) -> None:
        """Log and publish what has changed since the last call."""
        if job.status != self._status:
            self._status = job.status
            logger.info("Bulk delete %s is %s.", job.id, job.status)
        self.progress.show(job.processed, job.total)


@dataclass
class Movement:
    """Notices that a bulk delete stalls, is paused or has an unknown status, and says so once each time."""

    since: float
    """When (seconds) it last moved, or was last reported as stalled."""
    _last: tuple[object, ...] = ()
    _unknown: str | None = ""

    def of(self, job: BulkDelete, now: float) -> str | None:
        """What a person should know about *job*, as Close shows it at *now* (seconds); None if that is nothing new."""
        seen = (job.status, job.processed, job.total)
        moved, self._last = seen != self._last, seen
        if moved:
            self.since = now
        if not isinstance(job.status, BulkStatus) and job.status != self._unknown:
            self._unknown = job.status
            return f"Bulk delete {job.id} has the status {job.status!r}, which isn't known here. Still waiting."
        if job.status == BulkStatus.PAUSED:
            return f"Bulk delete {job.id} is paused at {job.progress}. {PAUSED}" if moved else None
        if now - self.since >= STALLED_AFTER:
            self.since = now
            return f"Bulk delete {job.id} has stalled: {job.progress} for {STALLED_AFTER / 60:.0f} minutes."
        return None


RETRY = "Retry this run to keep waiting; it will not start another one."
PAUSED = "Somebody can resume it in Close, or with `lead-cleanup resume` and the id of this run."


def out_of_sight(bulk_delete_id: str, why: object, job: BulkDelete | None = None) -> str:
    """A sentence for a run that can't see how far its bulk delete, last seen as *job*, is. *why* says what to do."""
    if job is None:
        seen = f"Close continues bulk delete {bulk_delete_id}, unless it is paused,"
    elif job.status == BulkStatus.PAUSED:
        seen = f"Close has paused bulk delete {bulk_delete_id} at {job.progress},"
    else:
        seen = f"Close continues bulk delete {bulk_delete_id}, which had reached {job.progress},"
    return f"{seen} but this run can't follow it: {why} {RETRY}"


def _vanished(bulk_delete_id: str, job: BulkDelete | None) -> str:
    reached = f"; it had deleted {job.progress}" if job else ""
    return f"Close does not know bulk delete {bulk_delete_id} any more{reached}. Look at the bulk deletes in Close."


def _at_the_deadline(bulk_delete_id: str, job: BulkDelete | None, patience: timedelta) -> tuple[Outcome, str]:
    """How a wait ends whose bulk delete hasn't. A deadline never means that anything was cancelled."""
    hours, minutes = divmod(round(patience / timedelta(minutes=1)), 60)
    long = counted(hours, "hour") if hours and not minutes else counted(60 * hours + minutes, "minute")
    if job is None:
        return Outcome.STILL_RUNNING, f"Close did not answer about bulk delete {bulk_delete_id} for {long}. {RETRY}"
    text = f"After {long} Close has not finished bulk delete {bulk_delete_id} ({job.progress}, {job.status})."
    if job.status == BulkStatus.PAUSED:
        return Outcome.STILL_RUNNING, f"{text} {PAUSED}"
    if not isinstance(job.status, BulkStatus):
        return Outcome.UNKNOWN, f"{text} That status isn't known here: look at it in Close. {RETRY}"
    return Outcome.STILL_RUNNING, f"{text} It is still deleting. {RETRY}"
