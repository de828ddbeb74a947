"""The task that waits, before a run plans, until the organisation's other runs have ended."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from tasks.bulk_delete.find import visible_in_seconds
from tasks.bulk_delete.wait import STALLED_AFTER
from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, NotFound, RateLimited
from tasks.close.resources import BulkStatus
from tasks.criteria.policy import Limits
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.runs import stop
from tasks.runs.attempts import last_asked, states_of
from tasks.runs.connect import connect, prefect
from tasks.runs.look_up import FLOW
from tasks.runs.retries import reads
from tasks.runs.run import ORGANIZATION, Run, tag

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
LONGEST_WAIT = timedelta(hours=1)


@reads
def wait_for_other_runs(run: Run, limits: Limits, *, dry_run: bool) -> None:
    """Wait while another run of the organisation deletes, or is about to; not for a dry run.

    Waits for a run that Prefect says is running and whose bulk delete makes progress; and for a deployed one that began
    before this one: of two cleanups that are due together, neither has a bulk delete yet. An hour at most, and not past
    ``max_late_hours``. Everything else is left to the look right before the start, which refuses. Close is asked only
    if there is such a run. Raises `Refused` if the stop is set meanwhile.
    """
    if dry_run or not _others(run):
        return
    due = last_asked(states_of(run)) or run.as_of
    patience = min(LONGEST_WAIT, due + timedelta(hours=limits.max_late_hours) - datetime.now(UTC))
    with connect() as close:
        tag(run, organization_id := close.organization_id(), dry_run=dry_run)
        _wait(close, run, organization_id, patience)


@dataclass(frozen=True)
class Other:
    """Another run that deletes or may, and is running."""

    flow_run: FlowRun
    record: Record | None
    """Its open claim."""
    ahead: bool
    """Whether it is a deployment's run that began before this one, by less than the longest wait."""

    def is_of(self, organization_id: str) -> bool:
        """Whether it is in this organisation, or hasn't yet said in which it is."""
        tagged = {each for each in self.flow_run.tags if each.startswith(ORGANIZATION)}
        its = {self.record.organization_id} if self.record else tagged
        return not its or organization_id in its


@dataclass
class Watch:
    """Tells which of the other runs make progress: they claim, and Close deletes."""

    close: CloseClient
    _seen: dict[UUID, tuple[object, float]] = field(default_factory=dict[UUID, tuple[object, float]])
    """What was last seen of each, and since when it has been so (by the client's clock)."""

    @property
    def seen(self) -> set[UUID]:
        """The runs that had a claim."""
        return set(self._seen)

    def is_worth_waiting_for(self, other: Other) -> bool:
        """Whether *other* makes progress, or is ahead and may yet claim."""
        record, now = other.record, self.close.clock()
        if record is None and other.ahead:
            return True
        if record and (record.cancelled_at or not self._may_be_deleting(record)):
            return False
        before, since = self._seen.get(other.flow_run.id, (None, now))
        looks = self._look(record.bulk_delete_id) if record and record.bulk_delete_id else ("claim", bool(record))
        if looks is None:
            return False
        self._seen[other.flow_run.id] = looks, since if looks == before else now
        return now - self._seen[other.flow_run.id][1] < STALLED_AFTER

    def _may_be_deleting(self, record: Record) -> bool:
        return record.bulk_delete_id is not None or visible_in_seconds(self.close, record) > 0

    def _look(self, bulk_delete_id: str) -> tuple[object, ...] | None:
        """How far Close has got; None if the bulk delete won't continue until a person acts."""
        try:
            job = self.close.bulk_delete(bulk_delete_id)
        except NotFound:
            return None
        except (CloseUnavailable, RateLimited) as error:
            logger.warning("Could not ask Close for bulk delete %s: %s", bulk_delete_id, error)
            return ("unavailable",)
        if job.status == BulkStatus.PAUSED or not isinstance(job.status, BulkStatus):
            return None
        return job.status, job.processed, job.total


def _wait(close: CloseClient, run: Run, organization_id: str, patience: timedelta) -> None:
    started, watch = close.clock(), Watch(close)
    waited_for: UUID | None = None
    while True:
        stop.check()
        others = (each for each in _others(run, watch.seen) if each.is_of(organization_id))
        other = next(filter(watch.is_worth_waiting_for, others), None)
        if other is None:
            break
        left = started + patience.total_seconds() - close.clock()
        if left <= 0:
            logger.warning(
                "Run %s (%s) has not ended: no longer waiting for it.", other.flow_run.id, other.flow_run.name
            )
            return
        if other.flow_run.id != waited_for:
            waited_for = other.flow_run.id
            logger.info("Waiting until run %s (%s) in this organisation has ended.", waited_for, other.flow_run.name)
        close.sleep(min(LOOK_SECONDS, left))
    if waited_for:
        logger.info("Waited %.0f minutes for other runs. Planning now.", (close.clock() - started) / 60)


def _others(run: Run, seen: Collection[UUID] = ()) -> list[Other]:
    """The other runs that are running and have a claim, had one when they were *seen*, or are ahead of *run*."""
    claims = {record.run_id: record for record in ledger.list_open_claims()[0]}
    with prefect() as server:
        running = server.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": [FLOW]}}),
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}}),
        )
    mine = next((each for each in running if each.id == run.id), None)
    if mine is None:  # somebody has cancelled or suspended it
        return []
    live = (each for each in running if each.id != run.id and not each.parameters.get("dry_run", True))
    others = [Other(each, claims.get(each.id), is_ahead(each, mine)) for each in live]
    return [each for each in others if each.record or each.ahead or each.flow_run.id in seen]


def is_ahead(other: FlowRun, mine: FlowRun) -> bool:
    """Whether *other* is a deployment's run that began before *mine*, by less than the longest wait."""
    if other.deployment_id is None or other.state is None or mine.state is None:
        return False
    earlier_by = mine.state.timestamp - other.state.timestamp
    return (earlier_by, mine.id) > (timedelta(), other.id) and earlier_by < LONGEST_WAIT
