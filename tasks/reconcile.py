"""Comparing what was planned with what Close did: by its own count, by what still matches, and by its event log."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.archive import Archive
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.connect import connect
from tasks.outcomes import Refused
from tasks.plan import Plan
from tasks.record import Backup
from tasks.report import Log

SETTLING_LOOKS = 10
SETTLING_SECONDS = 30.0
"""How long Close's search, and its event log, may take to show what was deleted."""
MOST_LOGGED = 10_000  # leads; the log comes fifty a page
CLOCKS = timedelta(minutes=5)  # Close says that events may become visible out of order for as long

Seen = TypeVar("Seen")


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def count_remaining(plan: Plan, job: BulkDelete) -> int:
    """How many of the planned leads still match after the bulk delete *job* has ended.

    If it is done, asks again until there are none or half a minute is over.
    """
    with connect(plan.organization_id) as close:
        if job.status != BulkStatus.DONE:
            return close.count(plan.s_query)
        return _settled(close, lambda: close.count(plan.s_query), lambda remaining: remaining == 0)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def read_log(plan: Plan, job: BulkDelete, backup: Backup | None) -> Log | None:
    """What Close's event log says that the bulk delete *job* has deleted, held against the *backup*.

    None where that can't be told: the key may not read the log, the bulk delete isn't done or is too large, Close or
    the backup's storage is away. Of what is over already this is one more witness, and its silence changes nothing.
    """
    if job.status != BulkStatus.DONE or job.date_created is None or job.processed > MOST_LOGGED:
        return None
    try:
        with connect(plan.organization_id) as close:
            since = job.date_created - CLOCKS
            deleted = _settled(close, lambda: _deleted(close, job, since), lambda found: len(found) >= job.processed)
        copied = Archive.at(backup.url).lead_ids() if backup else deleted
    except (CloseError, Refused) as error:
        get_run_logger().warning("What was deleted can't be held against Close's event log: %s", error)
        return None
    return Log(deleted=len(deleted), strangers=tuple(sorted(deleted - copied)))


def _settled(close: CloseClient, look: Callable[[], Seen], enough: Callable[[Seen], bool]) -> Seen:
    """What a *look* shows once it is *enough*, or after half a minute: Close may show a deletion later."""
    for _ in range(SETTLING_LOOKS):
        if enough(seen := look()):
            return seen
        close.sleep(SETTLING_SECONDS / SETTLING_LOOKS)
    return look()


def _deleted(close: CloseClient, job: BulkDelete, since: datetime) -> set[str]:
    events = close.lead_events("deleted", since)
    return {each.object_id for each in events if each.object_id and each.bulk_action_id == job.id}
