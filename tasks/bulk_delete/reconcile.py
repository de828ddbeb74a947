"""Comparing what was planned with what Close did: by its own count, by what still matches, and by its event log."""

import logging
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, TypeVar

from tasks.backup.archive import Archive
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError
from tasks.close.pages import EVENT_PAGE, EVENTS_LATE_BY
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.criteria.reading import EXAMPLES
from tasks.ledger.record import BackupTaken
from tasks.plan.model import Plan
from tasks.runs.connect import connect
from tasks.runs.outcomes import Outcome, Refused
from tasks.runs.retries import reads
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

SETTLING_LOOKS = 10
SETTLING_SECONDS = 30.0
"""How long Close's search, and its event log, may take to show what was deleted."""
MOST_LOGGED = 10_000  # leads; the log has fifty a page
OVERLAP = EVENT_PAGE  # events that are known, after which a look for newer ones ends
Seen = TypeVar("Seen")


class Log(NamedTuple):
    """What Close's event log says that a bulk delete has deleted."""

    deleted: int
    not_in_backup: tuple[str, ...] = ()
    """Ids of leads that are not in the run's backup."""


@reads
def count_remaining(plan: Plan, job: BulkDelete) -> int:
    """How many of the planned leads still match after the bulk delete *job* has ended.

    If it is done, counts again until there are none, for half a minute at most.
    """
    with connect(plan.organization_id) as close:
        if job.status != BulkStatus.DONE:
            return close.count(plan.s_query)
        return _look_until(close, lambda: close.count(plan.s_query), lambda remaining: remaining == 0)


def read_event_log(plan: Plan, job: BulkDelete, backup: BackupTaken | None) -> Log | None:
    """What Close's event log says that the bulk delete *job* has deleted, compared with the *backup*.

    None where that can't be known: the key may not read the log, the bulk delete isn't done or is too large, Close or
    the backup's storage is away. The log is one more witness: without it the outcome is the same.
    """
    if job.status != BulkStatus.DONE or job.date_created is None or job.processed > MOST_LOGGED:
        return None
    try:
        deleted = read_deleted_leads(plan, job, job.date_created - EVENTS_LATE_BY)
        copied = Archive.at(backup.url).lead_ids() if backup else deleted
    except (CloseError, Refused) as error:
        logger.warning("Could not compare with Close's event log what was deleted: %s", error)
        return None
    return Log(deleted=len(deleted), not_in_backup=tuple(sorted(deleted - copied)))


@reads
def read_deleted_leads(plan: Plan, job: BulkDelete, since: datetime) -> set[str]:
    """The ids of the leads that, by Close's event log *since* then, the bulk delete *job* has deleted.

    While it lacks some, looks for newer events, for half a minute at most, and then reads all of it once more, since
    Close may show events late and out of order.
    """
    deletions = _Deletions(job, since)
    with connect(plan.organization_id) as close:
        if not deletions.read(close):
            _look_until(close, lambda: deletions.read(close, overlap=OVERLAP), bool)
            deletions.read(close)
    return deletions.by_job


def _look_until(close: CloseClient, look: Callable[[], Seen], enough: Callable[[Seen], bool]) -> Seen:
    """What *look* returns once that is *enough*, or after half a minute: Close may show a deletion later."""
    for _ in range(SETTLING_LOOKS):
        if enough(seen := look()):
            return seen
        close.sleep(SETTLING_SECONDS / SETTLING_LOOKS)
    return look()


class _Deletions:
    """What Close's event log has shown so far of the leads that were deleted since an instant."""

    def __init__(self, job: BulkDelete, since: datetime) -> None:
        self._job, self._since = job, since
        self._known: set[str] = set()
        self.by_job: set[str] = set()
        """Ids of the leads that the bulk delete has deleted."""

    def read(self, close: CloseClient, *, overlap: float = math.inf) -> bool:
        """Read the log, newest first, until *overlap* events in a row are known. Return whether there are enough."""
        known = 0
        for event in close.lead_events("deleted", self._since):
            lead_id = event.object_id or ""
            known = known + 1 if lead_id in self._known else 0
            self._known.add(lead_id)
            if lead_id and event.bulk_action_id == self._job.id:
                self.by_job.add(lead_id)
            if known >= overlap:
                break
        return len(self.by_job) >= self._job.processed


def verdict(plan: Plan, job: BulkDelete, remaining: int, log: Log | None = None) -> tuple[Outcome, str]:
    """Whether the bulk delete *job*, which has ended, did what *plan* showed, and a sentence that says so.

    *log* is what Close's event log says of it, None where that isn't known.
    """
    planned = plan.counts.planned
    if wrong := next(_discrepancies(planned, job, remaining, log), None):
        return Outcome.FAILED, wrong
    changed = planned - job.processed
    spared = f" Of the {planned:,} planned, {changed:,} had changed since, or were gone." if changed else ""
    missing = job.processed - log.deleted if log else 0
    unlogged = f" Close's event log does not show {missing:,} of them yet." if missing else ""
    return Outcome.DELETED, f"{counted(job.processed, 'lead is', 'leads are')} deleted.{spared}{unlogged}"


def _discrepancies(planned: int, job: BulkDelete, remaining: int, log: Log | None) -> Iterator[str]:
    """Everything that speaks against a success, the gravest first."""
    processed, total = job.processed, job.total
    leads = counted(processed, "lead")
    if job.status != BulkStatus.DONE:
        yield f"Close reports {job.status} after {job.progress}."
    if total is None:
        yield f"Close says done, but not how many leads it had to delete; it deleted {processed:,}."
    elif processed < total:
        yield f"Close says done, but deleted only {processed:,} of the {counted(total, 'lead')} that it had counted."
    if processed > planned:
        yield f"Close deleted {leads}, {processed - planned:,} more than the {planned:,} planned."
    if remaining:
        still = counted(remaining, "still matches", "still match")
        lag = "Its search may lag behind"
        if log and log.deleted + remaining > planned:
            lag = f"Its event log shows that {counted(log.deleted, 'is', 'are')} deleted, so its search lags behind"
        yield f"Close says done with {leads}, but {still}. {lag}: a retry of this run counts again."
    if log and log.not_in_backup:
        number = counted(len(log.not_in_backup), "deleted lead that is", "deleted leads that are")
        more = f" and {len(log.not_in_backup) - EXAMPLES:,} more" if len(log.not_in_backup) > EXAMPLES else ""
        yield f"Close's event log shows {number} in no backup: {', '.join(log.not_in_backup[:EXAMPLES])}{more}."
    if log and log.deleted > processed:
        yield f"Close says that it deleted {leads}, but its event log shows that it was {log.deleted:,}."
