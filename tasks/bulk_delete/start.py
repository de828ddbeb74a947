"""Tasks that start a bulk delete at most once, and go on with one that was started."""

import logging
from dataclasses import dataclass

from tasks.backup.make_backup import check_in_backup
from tasks.bulk_delete.find import CLAIM_SECONDS, check_idle, find, has_mark, over, own
from tasks.bulk_delete.turn import turn
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, NotFound
from tasks.close.query.nodes import to_json
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.criteria.policy import Limits
from tasks.criteria.selection import LEADS
from tasks.ledger import store as ledger
from tasks.ledger.record import GIVEN_UP, REFUSED, BackupTaken, Record
from tasks.plan.checks import check_limits
from tasks.plan.model import Plan, digest
from tasks.runs import stop
from tasks.runs.attempts import retried_by_person
from tasks.runs.connect import connect, prefect
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.retries import once, reads
from tasks.runs.run import Run

logger = logging.getLogger(__name__)


@reads
def read_record(run: Run) -> Record | None:
    """What an earlier attempt of this run has claimed or started. Read before anything else."""
    return ledger.read(run.id)


@once
def start_bulk_delete(run: Run, plan: Plan, record: Record | None, backup: BackupTaken | None = None) -> str:
    """Start what *plan* says, at most once, and give the id of the bulk delete.

    Looks and counts a last time, reads the stop, claims, posts once and records the id. Whatever can't be told apart
    from "it was started" ends as ``unknown``, and only a person starts again. *record* is what was read first; what
    isn't in the *backup*, if there is one, isn't deleted.
    """
    return _start(run, plan, record, backup)


@once
def continue_bulk_delete(run: Run, record: Record, plan: Plan, limits: Limits) -> str:
    """Go on with what *record* says an earlier attempt of this run has claimed, and give the id of the bulk delete.

    Finds it, lets it go on where it is paused, and starts it only where a person has said so, within *limits* as they
    stand by now. What a person has cancelled goes on for a person only, and never for an automation that tries again.
    Raises `Stop`.
    """
    by_person = retried_by_person(run)
    if record.cancelled_at and not by_person:
        raise Stop(Outcome.CANCELLED, f"This run is cancelled. `lead-cleanup resume {run.id}` lets it go on.")
    if record.unused_permission:
        return _start(run, plan, record, record.backup, limits)
    if record.ended == GIVEN_UP:
        raise Stop(Outcome.UNKNOWN, "The claim of this run was given up: run the cleanup anew.")
    with connect(plan.organization_id) as close:
        bulk_delete_id = record.bulk_delete_id or _adopted(close, record)
        if by_person:
            let_go_on(close, bulk_delete_id)
            if record.cancelled_at:
                ledger.note(record, cancelled_at=None)
        return bulk_delete_id


def check_drift(matching: int, planned: int) -> None:
    """Raise `Refused` if more leads match right before the start than were planned: something protected has lost it."""
    if matching > planned:
        raise Refused(f"{matching} leads match now, more than the {planned} planned: make a new plan.")


def _start(run: Run, plan: Plan, after: Record | None, backup: BackupTaken | None, again: Limits | None = None) -> str:
    """Start what *plan* says; *again*, where it is so old that its limits and its backup have to be checked again."""
    with connect(plan.organization_id, user_id=plan.user_id) as close, turn(plan.organization_id):
        sight = _look(close, plan, backup, again)
        if sight.own is None:
            stop.check()
        deadline = close.clock() + CLAIM_SECONDS
        record = ledger.claim(mine := ledger.next_claim(run, plan, backup, after))
        if record.nonce != mine.nonce:
            return _of_another_copy(close, record, plan)
        found = sight.own or _post(close, record, plan, sight, deadline)
        ledger.note(record, bulk_delete_id=found.id)
        if found.s_query is not None and digest(plan.organization_id, found.s_query) != plan.digest:
            logger.warning("Close repeats another query than it was sent: look at bulk delete %s.", found.id)
        return found.id


@dataclass(frozen=True)
class Sight:
    """What there was at Close right before a claim."""

    jobs: list[BulkDelete]
    own: BulkDelete | None
    """The run's own bulk delete, if it was there already."""
    matching: int
    """Leads that still matched."""


def _look(close: CloseClient, plan: Plan, backup: BackupTaken | None, again: Limits | None) -> Sight:
    """Look a last time. Raises `Refused` if that shows a reason not to start."""
    jobs = close.bulk_deletes()
    if mine := own(jobs, plan):
        return Sight(jobs, mine, 0)
    check_idle(jobs, _set_aside(jobs, plan))
    matching = close.count(plan.s_query)
    check_drift(matching, backup.leads if backup else plan.counts.planned)
    if again and matching:
        check_limits(plan.counts.model_copy(update={"total": close.count(to_json(LEADS)), "planned": matching}), again)
    if backup and matching:
        check_in_backup(close, plan, matching, backup, whole=again is not None)
    return Sight(jobs, None, matching)


def _of_another_copy(close: CloseClient, record: Record, plan: Plan) -> str:
    """What came of *record*, another copy's claim, if it is for the same *plan*: a report speaks of what was done."""
    if record.digest != plan.digest or record.refused:
        raise Stop(Outcome.UNKNOWN, "Another copy of this run has claimed meanwhile: try this run again.")
    return record.bulk_delete_id or _adopted(close, record)


def _set_aside(jobs: list[BulkDelete], plan: Plan) -> set[str]:
    """The bulk deletes that a person has given up: paused, they stand in nobody's way."""
    if all(job.status != BulkStatus.PAUSED for job in jobs):
        return set()
    return {record.bulk_delete_id or "" for record in ledger.given_up(plan.organization_id)}


def _post(close: CloseClient, record: Record, plan: Plan, sight: Sight, deadline: float) -> BulkDelete:
    try:
        _check_claim(record, sight.jobs)
        if not sight.matching:
            raise Stop(Outcome.NOTHING_TO_DO, "None of the planned leads matches any more.")
        if close.clock() > deadline:
            raise Refused(f"The claim was written {CLAIM_SECONDS:.0f} s ago and counts no more: try this run again.")
    except Stop:
        ledger.note(record, ended=REFUSED)
        raise
    try:
        return close.start_bulk_delete(plan.s_query)
    except CloseError as error:
        if error.nothing_started:
            ledger.note(record, ended=REFUSED)
            raise
        logger.warning("It isn't certain that Close started the bulk delete: %s Looking for it.", error)
        return find(close, record)


def _check_claim(record: Record, jobs: list[BulkDelete]) -> None:
    """Raise `Stop` unless our claim still stands, the run isn't being cancelled, and no other run is in the way.

    Read after the claim is written: of two runs that claim at once, at least one sees the other; and whoever cancels
    either finds the claim or is seen here.
    """
    standing = ledger.read(record.run_id)
    if standing is None or standing.nonce != record.nonce:
        raise Stop(Outcome.UNKNOWN, f"The claim {record.name} of this run no longer stands: somebody changed it.")
    with prefect() as server:
        state = server.read_flow_run(record.run_id).state
    if standing.cancelled_at or (state and (state.is_cancelling() or state.is_cancelled())):
        raise Stop(Outcome.CANCELLED, "This run was cancelled before anything was started.")
    if other := _in_the_way(record, jobs):
        raise Refused(_unresolved(other))


def _in_the_way(record: Record, jobs: list[BulkDelete]) -> Record | None:
    """Another run's claim in the organisation that isn't known to have ended, also not by *jobs*, Close's own list."""
    for other in ledger.unresolved(record.organization_id):
        if other.run_id == record.run_id:
            continue
        job = next((each for each in jobs if each.id == other.bulk_delete_id or has_mark(each, other.as_of)), None)
        if job is None or not over(job):
            return other
        ledger.note(other, ended=str(job.status))
    return None


def _unresolved(record: Record) -> str:
    return (
        f"Run {record.run_id} ({record.cleanup}) claimed a bulk delete at {record.claimed_at:%Y-%m-%d %H:%M} UTC, and "
        f"is not known to have ended. `lead-cleanup resume {record.run_id}` goes on with it; if Close shows nothing of "
        f"it, `lead-cleanup ledger --give-up {record.run_id}` makes room."
    )


def _adopted(close: CloseClient, record: Record) -> str:
    job = find(close, record)
    ledger.note(record, bulk_delete_id=job.id)
    return job.id


def let_go_on(close: CloseClient, bulk_delete_id: str) -> None:
    """Resume a bulk delete that is paused. Raises `Stop` while the stop is set, and if Close doesn't let us."""
    try:
        job = close.bulk_delete(bulk_delete_id)
        if job.status != BulkStatus.PAUSED:
            return
        stop.check()
        close.resume_bulk_delete(bulk_delete_id)
    except NotFound:  # whether it is gone is for the wait to find out
        return
    except CloseError as error:
        raise Stop(
            Outcome.STILL_RUNNING,
            f"Bulk delete {bulk_delete_id} is paused, and can't be resumed from here: {error} Resume it in Close, and "
            "then retry this run.",
        ) from error
    logger.info("Bulk delete %s was paused at %s, and goes on.", bulk_delete_id, job.progress)
