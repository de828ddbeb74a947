"""Finding a run's bulk delete among those that Close lists, and whether one may still delete anything."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.query.rewrite import instants_in
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger.record import Record
from tasks.plan.model import Planned
from tasks.runs.outcomes import Outcome, Refused, Stop

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
CLAIM_SECONDS = 30.0
"""How long after its claim a run may still post. A search for its bulk delete must outlast this plus one POST."""
LAG_SECONDS = 30.0
"""How long Close's list may take to show what it has accepted. It documents nothing; its search takes seconds."""
RESUME = "Resume it, in Close or with `lead-cleanup resume RUN` if a run has started it."
MAY_START_YET = "It may be about to start: repeat this in two minutes."
"""Of a claim whose bulk delete Close doesn't show, and may yet show."""
RESUMABLE = timedelta(days=7)
"""Close refuses to resume a bulk delete that has been paused for longer."""


def bulk_delete_of(plan: Planned, jobs: Sequence[BulkDelete]) -> BulkDelete | None:
    """The bulk delete among *jobs* that was started for *plan*: if that is a record, the one with the recorded id.

    Otherwise the one that agrees in everything: both marks, organisation, author and query. Close may have added
    ``negate: false``, reordered keys or spelled instants differently. Raises `Stop` (``unknown``) if one has both marks
    but isn't what we send, or if several have them. One that has a single mark is somebody else's.
    """
    recorded = plan.bulk_delete_id if isinstance(plan, Record) else None
    if recorded and (known := next((job for job in jobs if job.id == recorded), None)):
        return known
    ours = [job for job in jobs if has_marks(job, plan.marks)]
    if not ours:
        return None
    job = ours[0]
    if len(ours) > 1:
        ids = ", ".join(each.id for each in ours)
        raise Stop(Outcome.UNKNOWN, f"{len(ours)} bulk deletes carry this run's marks: {ids}. Look at them.")
    if job.organization_id not in {None, plan.organization_id} or job.created_by not in {None, plan.user_id}:
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's marks, but somebody else started it.")
    if not plan.has_query(job.s_query or {}):
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's marks, but has another query.")
    return job


def search_until_visible(close: CloseClient, record: Record) -> BulkDelete:
    """The bulk delete that was started for *record*. Raises `Stop` (``unknown``) if Close doesn't show one in time.

    Searches for longer than a claim and its POST can take: another copy of this run may be about to post.
    """
    deadline = close.clock() + visible_within_seconds(close)
    while True:
        try:
            if job := bulk_delete_of(record, close.bulk_deletes()):
                return job
        except CloseError as error:
            logger.warning("Could not read Close's bulk deletes: %s", error)
        if close.clock() >= deadline:
            break
        close.sleep(LOOK_SECONDS)
    raise Stop(
        Outcome.UNKNOWN,
        "This run may have started a bulk delete, but Close shows none that is its own. Look at the bulk deletes in "
        "Close: if it is there after all, retry this run; if not, "
        f"`lead-cleanup resume {record.run_id} --start-again`.",
    )


def visible_within_seconds(close: CloseClient) -> float:
    """How long after a claim its bulk delete may take to show."""
    return CLAIM_SECONDS + close.start_takes_at_most + LAG_SECONDS


def visible_in_seconds(close: CloseClient, record: Record) -> float:
    """How much longer the bulk delete of *record* may take to show; zero if it would show by now."""
    return max(visible_within_seconds(close) - max(record.age_seconds, 0), 0)


def has_marks(job: BulkDelete, marks: Sequence[datetime]) -> bool:
    """Whether the query that Close returns holds all *marks*, wherever; if two are equal, twice."""
    return Counter(marks) <= Counter(instants_in(job.s_query))


def check_idle(jobs: Sequence[BulkDelete], given_up: Collection[str] = (), runs: Mapping[str, UUID] = {}) -> None:
    """Raise `Refused` if one of *jobs* is unfinished: the effects of two bulk deletes at once can't be told apart.

    Those whose ids are *given_up* count only while they aren't paused. *runs* has the runs that have started some, by
    the ids of these.
    """
    for job in jobs:
        paused = job.status == BulkStatus.PAUSED
        if not is_over(job) and not (paused and job.id in given_up):
            resume = f"`lead-cleanup resume {runs[job.id]}` resumes it." if job.id in runs else RESUME
            raise Refused(
                f"Bulk delete {job.id} of {job.created_by or 'somebody'} is {job.status or 'in an unknown status'} "
                f"({job.progress}). {resume if paused else 'Wait until it has finished.'}"
            )


def is_over(job: BulkDelete) -> bool:
    """Whether it deletes nothing more: it has ended, or was paused so long ago that Close won't resume it."""
    idle = datetime.now(UTC) - (job.date_updated or datetime.now(UTC))
    return job.finished or (job.status == BulkStatus.PAUSED and idle > RESUMABLE)
