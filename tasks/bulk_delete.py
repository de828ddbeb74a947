"""Tasks that start a bulk delete at most once, and wait for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from tasks import ledger
from tasks.close.client import CloseClient
from tasks.close.conditions import FixedUtc
from tasks.close.errors import CloseError, CloseUnavailable, NotFound, RateLimited
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.close.rewrite import canonical, instant_of
from tasks.close.s_query import parse, parts
from tasks.connect import connect
from tasks.ledger import Record
from tasks.outcomes import Outcome, Refused, Stop
from tasks.plan import Plan
from tasks.publish import Progress
from tasks.run import Run

LOOKS = 5
LOOK_SECONDS = 3.0
RESUMABLE = timedelta(days=7)
"""Close refuses to resume a bulk delete that has been paused for longer."""


# --- start ------------------------------------------------------------------------------------------------------------


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def read_record(run: Run) -> Record | None:
    """What an earlier attempt of this run has claimed or started. Read before anything else."""
    return ledger.read(run.id)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)  # a second POST would start a second bulk delete
def start_bulk_delete(run: Run, plan: Plan) -> str:
    """Start what *plan* says, at most once, and give the id of the bulk delete.

    Looks first, claims, posts once and records the id. Whatever can't be told apart from "it was started" ends as
    ``unknown``, and only a person starts again.
    """
    with connect() as close:
        jobs = close.bulk_deletes()
        found = own(jobs, plan)
        if found is None:
            check_idle(jobs)
        record = ledger.claim(mine := Record.of(run, plan))
        if record.bulk_delete_id:
            return record.bulk_delete_id
        if record.nonce != mine.nonce:
            return _adopted(close, record, plan)
        if found is None:
            found = _post(close, plan)
        ledger.update(record.model_copy(update={"bulk_delete_id": found.id}))
        if found.s_query is not None and canonical(found.s_query) != canonical(plan.s_query):
            get_run_logger().warning("Close repeats another query than it was sent: look at bulk delete %s.", found.id)
        return found.id


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def adopt_bulk_delete(record: Record, plan: Plan) -> str:
    """The id of the bulk delete that an earlier attempt of this run has started, or ``unknown``."""
    if record.bulk_delete_id:
        return record.bulk_delete_id
    with connect() as close:
        return _adopted(close, record, plan)


def own(jobs: list[BulkDelete], plan: Plan) -> BulkDelete | None:
    """This run's own bulk delete among *jobs*; raises ``unknown`` for one that has our mark but isn't what we send."""
    ours = [job for job in jobs if has_mark(job, plan.as_of)]
    if not ours:
        return None
    job = ours[0]
    if len(ours) > 1:
        raise Stop(Outcome.UNKNOWN, f"{len(ours)} bulk deletes carry this run's mark: {_ids(ours)}. Look at them.")
    if job.organization_id not in {None, plan.organization_id} or job.created_by not in {None, plan.user_id}:
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's mark, but somebody else started it.")
    if canonical(job.s_query or {}) != canonical(plan.s_query):
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's mark, but has another query.")
    return job


def check_idle(jobs: list[BulkDelete]) -> None:
    """Raise `Refused` if one of *jobs* is unfinished: two bulk deletes at once can't be told apart by their effect."""
    for job in jobs:
        if not job.finished and not _given_up(job):
            raise Refused(_busy(job))


def has_mark(job: BulkDelete, as_of: datetime) -> bool:
    """Whether the query that Close repeats holds the run's cut-off, to the millisecond."""
    try:
        found = [part for part in parts(parse(job.s_query or {})) if isinstance(part, FixedUtc)]
    except ValidationError:
        return False
    return any(_says(moment, as_of) for moment in found)


def _says(moment: FixedUtc, instant: datetime) -> bool:
    try:
        return instant_of(moment) == instant
    except ValueError:  # somebody else's query, with a moment that we can't read
        return False


def _post(close: CloseClient, plan: Plan) -> BulkDelete:
    try:
        return close.start_bulk_delete(plan.s_query)
    except CloseError as error:
        if error.nothing_started:
            raise
        get_run_logger().warning("It isn't certain that Close started the bulk delete: %s Looking for it.", error)
        return _found(close, plan)


def _adopted(close: CloseClient, record: Record, plan: Plan) -> str:
    job = _found(close, plan)
    ledger.update(record.model_copy(update={"bulk_delete_id": job.id}))
    return job.id


def _found(close: CloseClient, plan: Plan) -> BulkDelete:
    """This run's own bulk delete, after it may have been started. Whatever hides it from us leaves it ``unknown``."""
    for _ in range(LOOKS):
        try:
            if job := own(close.bulk_deletes(), plan):
                return job
        except CloseError as error:
            get_run_logger().warning("Close's bulk deletes can't be read: %s", error)
        time.sleep(LOOK_SECONDS)
    raise Stop(
        Outcome.UNKNOWN,
        "This run may have started a bulk delete, but Close shows none that is its own. Look at the bulk deletes in "
        "Close before you run this cleanup again.",
    )


def _busy(job: BulkDelete) -> str:
    progress = f"{job.processed} of {job.total if job.total is not None else 'an unknown number of'} leads"
    whose = job.created_by or "somebody"
    status = job.status or "in an unknown status"
    return f"Bulk delete {job.id} of {whose} is {status} ({progress}). Wait until it has finished."


def _given_up(job: BulkDelete) -> bool:
    idle = datetime.now(UTC) - (job.date_updated or datetime.now(UTC))
    return job.status == BulkStatus.PAUSED and idle > RESUMABLE


def _ids(jobs: list[BulkDelete]) -> str:
    return ", ".join(job.id for job in jobs)


# --- wait -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A bulk delete that Close says is done or in error, and how often we asked."""

    job: BulkDelete
    polls: int


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def wait_for_bulk_delete(bulk_delete_id: str, max_wait_minutes: int) -> Finished:
    """Ask until Close says that the bulk delete is done or in error.

    Close being away doesn't end the wait; the deadline does, as ``still_running``: Close goes on deleting.
    """
    progress = Progress(bulk_delete_id)
    with connect() as close:
        return wait(close, bulk_delete_id, timedelta(minutes=max_wait_minutes), progress.show)


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
    while True:
        polls += 1
        try:
            job = close.bulk_delete(bulk_delete_id)
        except NotFound:
            raise Stop(Outcome.UNKNOWN, f"Close no longer knows bulk delete {bulk_delete_id}.") from None
        except (CloseUnavailable, RateLimited) as error:
            get_run_logger().warning("Close can't be asked just now, and goes on deleting meanwhile: %s", error)
        else:
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
    return (
        f"After {patience} Close has not finished bulk delete {bulk_delete_id} ({reached}). It goes on deleting. "
        "Retry this run to wait on; it will not start another one."
    )
