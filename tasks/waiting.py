"""The task that waits for a bulk delete, however long it takes and whatever happens on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks import ledger
from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, NotFound, RateLimited
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.connect import connect
from tasks.outcomes import Outcome, Stop
from tasks.publish import Progress, harmless
from tasks.run import Run

VANISHED_AFTER = 60.0
"""Seconds for which Close may say that it doesn't know a bulk delete: it may not know a new one everywhere at once."""


@dataclass(frozen=True)
class Finished:
    """A bulk delete that Close says is done or in error, and how often we asked."""

    job: BulkDelete
    polls: int


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def wait_for_bulk_delete(run: Run, bulk_delete_id: str, max_wait_minutes: int) -> Finished:
    """Ask until Close says that the bulk delete is done or in error, and note in the ledger that it is over.

    Close being away doesn't end the wait; the deadline does, as ``still_running``: Close goes on deleting.
    """
    progress = Progress(bulk_delete_id)
    with connect() as close:
        finished = wait(close, bulk_delete_id, timedelta(minutes=max_wait_minutes), progress.show)
    with harmless("The end of the bulk delete"):
        ledger.end(run.id, str(finished.job.status))
    return finished


def wait(
    close: CloseClient,
    bulk_delete_id: str,
    patience: timedelta,
    show: Callable[[BulkDelete], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Finished:
    """See `wait_for_bulk_delete`. *clock* counts seconds and never goes back."""
    deadline = clock() + patience.total_seconds()
    pace = Pace(clock())
    polls = 0
    job: BulkDelete | None = None
    missing_since: float | None = None
    while True:
        polls += 1
        try:
            job = close.bulk_delete(bulk_delete_id)
        except NotFound:
            missing_since = clock() if missing_since is None else missing_since
            if clock() - missing_since >= VANISHED_AFTER:
                raise Stop(Outcome.UNKNOWN, f"Close does not know bulk delete {bulk_delete_id} any more.") from None
        except (CloseUnavailable, RateLimited) as error:
            get_run_logger().warning("Close can't be asked just now, and goes on deleting meanwhile: %s", error)
        else:
            missing_since = None
            show(job)
            if job.finished:
                return Finished(job, polls)
        now = clock()
        if now >= deadline:
            raise Stop(Outcome.STILL_RUNNING, _still_running(bulk_delete_id, job, patience))
        sleep(min(pace.next(job, now), deadline - now))  # the last question is asked at the deadline itself


@dataclass
class Pace:
    """When to ask next: half the time that is left at the rate seen so far, within bounds (seconds)."""

    started: float
    soonest: float = 0.5
    latest: float = 30.0

    def next(self, job: BulkDelete | None, now: float) -> float:
        """Seconds until the next question."""
        elapsed = now - self.started
        if job is None or job.total is None or not job.processed:
            return self._bounded(elapsed / 2)
        left = max(job.total - job.processed, 0)
        return self._bounded(left * elapsed / job.processed / 2)

    def _bounded(self, seconds: float) -> float:
        return min(max(seconds, self.soonest), self.latest)


def _still_running(bulk_delete_id: str, job: BulkDelete | None, patience: timedelta) -> str:
    reached = f"{job.processed} of {job.total} leads, status {job.status}" if job else "nothing heard"
    doing = "It is paused: somebody can resume it" if job and job.status == BulkStatus.PAUSED else "It goes on deleting"
    return (
        f"After {patience} Close has not finished bulk delete {bulk_delete_id} ({reached}). {doing}. "
        "Retry this run to wait on; it will not start another one."
    )
