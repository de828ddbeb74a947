"""Knowing a run's own bulk delete among those that Close shows. Pure, but for the look that repeats until it finds."""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.query.conditions import FixedUtc
from tasks.close.query.nodes import parse, parts
from tasks.close.query.rewrite import instant_of
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger.record import Record
from tasks.plan.model import Planned, digest
from tasks.runs.outcomes import Outcome, Refused, Stop

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
CLAIM_SECONDS = 30.0
"""How long after its claim a run may still post. Whoever finds a claim looks for longer than that and a POST."""
LAG_SECONDS = 30.0
"""How long Close's list may take to show what it has accepted. It documents nothing; its search takes seconds."""
RESUMABLE = timedelta(days=7)
"""Close refuses to resume a bulk delete that has been paused for longer."""


def own(jobs: Sequence[BulkDelete], plan: Planned) -> BulkDelete | None:
    """The bulk delete that *plan*, or its claim, came to, among *jobs*: same organisation, author, mark and query.

    Close may have added ``negate: false`` or put keys in another order. Raises ``unknown`` for one that has our mark
    but isn't what we send, and for several.
    """
    ours = [job for job in jobs if has_mark(job, plan.as_of)]
    if not ours:
        return None
    job = ours[0]
    if len(ours) > 1:
        raise Stop(Outcome.UNKNOWN, f"{len(ours)} bulk deletes carry this run's mark: {_ids(ours)}. Look at them.")
    if job.organization_id not in {None, plan.organization_id} or job.created_by not in {None, plan.user_id}:
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's mark, but somebody else started it.")
    if digest(plan.organization_id, job.s_query or {}) != plan.digest:
        raise Stop(Outcome.UNKNOWN, f"Bulk delete {job.id} carries this run's mark, but has another query.")
    return job


def find(close: CloseClient, claim: Record) -> BulkDelete:
    """The bulk delete that *claim* may have come to. Whatever hides it from us leaves it ``unknown``.

    Looks for longer than a claim and its POST can take: another copy of this run may be in the middle of it.
    """
    give_up = close.clock() + settling_seconds(close)
    while True:
        try:
            if job := own(close.bulk_deletes(), claim):
                return job
        except CloseError as error:
            logger.warning("Close's bulk deletes can't be read: %s", error)
        if close.clock() >= give_up:
            break
        close.sleep(LOOK_SECONDS)
    raise Stop(
        Outcome.UNKNOWN,
        "This run may have started a bulk delete, but Close shows none that is its own. Look at the bulk deletes in "
        f"Close: if it is there after all, retry this run; if not, `lead-cleanup resume {claim.run_id} --start-again`.",
    )


def settling_seconds(close: CloseClient) -> float:
    """How long a bulk delete that was claimed may take to show."""
    return CLAIM_SECONDS + close.start_takes_at_most + LAG_SECONDS


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


def check_idle(jobs: Sequence[BulkDelete], set_aside: Collection[str] = ()) -> None:
    """Raise `Refused` if one of *jobs* is unfinished: two bulk deletes at once can't be told apart by their effect.

    Those whose ids are *set_aside* count only while they aren't paused.
    """
    for job in jobs:
        if not over(job) and not (job.status == BulkStatus.PAUSED and job.id in set_aside):
            raise Refused(_busy(job))


def over(job: BulkDelete) -> bool:
    """Whether nothing more will come of it: it has ended, or was paused so long ago that Close won't resume it."""
    idle = datetime.now(UTC) - (job.date_updated or datetime.now(UTC))
    return job.finished or (job.status == BulkStatus.PAUSED and idle > RESUMABLE)


def _busy(job: BulkDelete) -> str:
    whose = job.created_by or "somebody"
    status = job.status or "in an unknown status"
    paused = "Resume it, in Close or with `lead-cleanup resume RUN` if a run has started it."
    way_on = paused if job.status == BulkStatus.PAUSED else "Wait until it has finished."
    return f"Bulk delete {job.id} of {whose} is {status} ({job.progress}). {way_on}"


def _ids(jobs: Sequence[BulkDelete]) -> str:
    return ", ".join(job.id for job in jobs)
