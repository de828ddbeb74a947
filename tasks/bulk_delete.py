"""Tasks that start a bulk delete at most once."""

import time
from datetime import UTC, datetime, timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from tasks import ledger
from tasks.close.client import CloseClient
from tasks.close.conditions import FixedUtc
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.close.rewrite import canonical, instant_of
from tasks.close.s_query import parse, parts
from tasks.connect import connect
from tasks.ledger import Record
from tasks.outcomes import Outcome, Refused, Stop
from tasks.plan import Plan
from tasks.run import Run

LOOK_SECONDS = 3.0
RESUMABLE = timedelta(days=7)
"""Close refuses to resume a bulk delete that has been paused for longer."""


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def read_record(run: Run) -> Record | None:
    """What an earlier attempt of this run has claimed or started. Read before anything else."""
    record = ledger.read(run.id)
    return None if record and record.refused else record


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)  # a second POST would start a second bulk delete
def start_bulk_delete(run: Run, plan: Plan) -> str:
    """Start what *plan* says, at most once, and give the id of the bulk delete.

    Looks and counts a last time, claims, posts once and records the id. Whatever can't be told apart from "it was
    started" ends as ``unknown``, and only a person starts again.
    """
    with connect() as close:
        jobs = close.bulk_deletes()
        found = own(jobs, plan)
        if found is None:
            check_idle(jobs)
            check_drift(close.count(plan.s_query), plan.counts.planned)
        record = ledger.claim(mine := ledger.next_claim(run, plan))
        if record.bulk_delete_id:
            return record.bulk_delete_id
        if record.nonce != mine.nonce:
            return _adopted(close, record, plan)
        if found is None:
            found = _post(close, record, plan, jobs)
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


def check_drift(matching: int, planned: int) -> None:
    """Raise `Refused` if more leads match right before the start than were planned: something protected has lost it."""
    if matching > planned:
        raise Refused(f"{matching} leads match now, more than the {planned} planned: make a new plan.")


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


def _post(close: CloseClient, record: Record, plan: Plan, jobs: list[BulkDelete]) -> BulkDelete:
    if other := _in_the_way(record, jobs):
        ledger.end(record.run_id, ledger.REFUSED)
        raise Refused(_unresolved(other))
    try:
        return close.start_bulk_delete(plan.s_query)
    except CloseError as error:
        if error.nothing_started:
            ledger.end(record.run_id, ledger.REFUSED)
            raise
        get_run_logger().warning("It isn't certain that Close started the bulk delete: %s Looking for it.", error)
        return _found(close, plan)


def _adopted(close: CloseClient, record: Record, plan: Plan) -> str:
    job = _found(close, plan)
    ledger.update(record.model_copy(update={"bulk_delete_id": job.id}))
    return job.id


def _found(close: CloseClient, plan: Plan) -> BulkDelete:
    """This run's own bulk delete, after it may have been started. Whatever hides it from us leaves it ``unknown``.

    Looks for longer than a POST can take: another copy of this run may be in the middle of it.
    """
    give_up = time.monotonic() + settling_seconds(close)
    while True:
        try:
            if job := own(close.bulk_deletes(), plan):
                return job
        except CloseError as error:
            get_run_logger().warning("Close's bulk deletes can't be read: %s", error)
        if time.monotonic() >= give_up:
            break
        time.sleep(LOOK_SECONDS)
    raise Stop(
        Outcome.UNKNOWN,
        "This run may have started a bulk delete, but Close shows none that is its own. Look at the bulk deletes in "
        "Close before you run this cleanup again.",
    )


def settling_seconds(close: CloseClient) -> float:
    """How long a bulk delete that was asked for may take to show."""
    return close.start_takes_at_most + 2 * LOOK_SECONDS


def _in_the_way(record: Record, jobs: list[BulkDelete]) -> Record | None:
    """Another run's claim in the organisation that isn't known to have ended, also not by *jobs*, Close's own list.

    Read after our own claim is written: of two runs that claim at once, at least one sees the other.
    """
    for other in ledger.unresolved(record.organization_id):
        if other.run_id == record.run_id:
            continue
        job = next((each for each in jobs if each.id == other.bulk_delete_id or has_mark(each, other.as_of)), None)
        if job is None or not job.finished:
            return other
        ledger.end(other.run_id, str(job.status))
    return None


def _unresolved(record: Record) -> str:
    return (
        f"Run {record.run_id} ({record.cleanup}) claimed a bulk delete at {record.claimed_at:%Y-%m-%d %H:%M} UTC, "
        "and is not known to have ended. Retry that run in Prefect: it starts nothing again. If Close shows nothing of "
        f"it under way, delete the Prefect Variable {record.name}."
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
