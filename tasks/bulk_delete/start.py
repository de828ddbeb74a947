"""Tasks that start a bulk delete at most once, or continue one that was started."""

import logging
from typing import NamedTuple
from uuid import UUID

from tasks.backup.make_backup import check_in_backup
from tasks.bulk_delete.find import CLAIM_SECONDS, bulk_delete_of, check_idle, is_over, search_until_visible
from tasks.bulk_delete.turn import turn
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, NotFound
from tasks.close.pages import LONGEST_SEARCH
from tasks.close.query.nodes import to_json
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.criteria.policy import Limits
from tasks.criteria.selection import LEADS
from tasks.ledger import store as ledger
from tasks.ledger.record import GIVEN_UP, REFUSED, BackupTaken, Record
from tasks.plan.checks import check_limits, check_not_all
from tasks.plan.model import Plan
from tasks.runs import events, stop
from tasks.runs.alive import Superseded, check_latest
from tasks.runs.attempts import continued_by_person
from tasks.runs.connect import connect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.own_state import Suspended, is_suspended
from tasks.runs.retries import once, reads
from tasks.runs.run import Run
from tasks.runs.wording import MINUTE, counted

logger = logging.getLogger(__name__)


@reads
def read_record(run: Run) -> Record | None:
    """What an earlier attempt of this run has claimed or started. Read before anything else."""
    return ledger.read(run.id)


@once
def start_bulk_delete(run: Run, plan: Plan, record: Record | None, backup: BackupTaken | None = None) -> str:
    """Start the bulk delete of *plan*, at most once, and return its id.

    Counts again, checks the stop, claims, then sends the POST. If its answer is lost, searches Close for the run's bulk
    delete and adopts it; raises `Stop` (``unknown``) if Close shows none in time. Refuses if a matching lead isn't in
    the *backup*, if there is one (above 10,000 leads: if more match than it has). *record* is what was read first.
    """
    return _start(run, plan, record, backup)


@once
def continue_bulk_delete(run: Run, record: Record, plan: Plan, limits: Limits) -> str:
    """Continue what an earlier attempt of this run claimed in *record*, and return the id of the bulk delete.

    Finds it, and resumes it if it is paused and a person retried or resumed the run. Starts it only with a person's
    permission, within *limits* as they are now. What a person has cancelled is continued for a person only, never for
    an automation. Raises `Stop`.
    """
    check_latest(run)
    by_person = continued_by_person(run)
    if record.cancelled_at and not by_person:
        raise Stop(Outcome.CANCELLED, f"This run is cancelled. `lead-cleanup resume {run.id}` resumes it.")
    if record.unused_permission:
        return _start(run, plan, record, record.backup, limits)
    if record.ended == GIVEN_UP:
        raise Stop(Outcome.UNKNOWN, "The claim of this run was given up: run the cleanup again.")
    with connect(plan.organization_id) as close:
        bulk_delete_id = record.bulk_delete_id or _search_and_record(close, record)
        if by_person:
            if record.cancelled_at:  # first: once it is resumed, an automation's retry must wait for it too
                ledger.update(record, cancelled_at=None)
            resume_if_paused(close, bulk_delete_id)
        return bulk_delete_id


def check_drift(matching: int, plan: Plan, backup: BackupTaken | None) -> None:
    """Raise `Refused` if more leads match right before the start than may be deleted: one has lost its protection."""
    planned = plan.counts.planned
    if matching > (backup.leads if backup else planned):
        match = counted(matching, "lead matches", "leads match")
        known = (
            f"the backup has {backup.leads:,} of the {planned:,}"
            if backup
            else f"only {counted(planned, 'was', 'were')}"
        )
        raise Refused(f"{match} now, but {known} planned: run the cleanup again.")


def _start(
    run: Run, plan: Plan, after: Record | None, backup: BackupTaken | None, limits_now: Limits | None = None
) -> str:
    """Start the bulk delete of *plan*. With *limits_now*, the plan is old: these and its backup are checked again."""
    with connect(plan.organization_id, user_id=plan.user_id) as close, turn(plan.organization_id):
        seen = preflight(close, plan, backup, limits_now)
        if seen.started is None:
            stop.check()
        check_latest(run)
        deadline = close.clock() + CLAIM_SECONDS
        record = ledger.claim(mine := ledger.next_claim(run, plan, backup, after))
        if record.nonce != mine.nonce:
            return adopt_other_attempt(close, record, plan)
        job = seen.started or _post(close, run, record, plan, seen, deadline)
        _record(record, job)
        events.emit(run, "started", plan.counts.model_dump())
        if job.s_query is not None and not plan.has_query(job.s_query):
            logger.warning("Close returns another query than it was sent: look at bulk delete %s.", job.id)
        return job.id


class Preflight(NamedTuple):
    """What Close showed right before a claim."""

    jobs: list[BulkDelete]
    started: BulkDelete | None
    """The run's bulk delete, if it was there already."""
    matching: int
    """Leads that still matched."""


def preflight(close: CloseClient, plan: Plan, backup: BackupTaken | None, limits_now: Limits | None) -> Preflight:
    """Look at Close a last time. Raises `Refused` if there is a reason not to start."""
    jobs = close.bulk_deletes()
    if started := bulk_delete_of(plan, jobs):
        return Preflight(jobs, started, 0)
    check_idle(jobs, *_in_ledger(jobs, plan))
    matching, ids = matching_leads(close, plan, backup)
    check_drift(matching, plan, backup)
    if limits_now and matching:
        now = plan.counts.model_copy(update={"total": close.count(to_json(LEADS)), "planned": matching})
        check_not_all(now, "By now the plan has")
        check_limits(now, limits_now, "By now the plan has")
    if backup and matching:
        check_in_backup(ids, plan, backup, whole=limits_now is not None)
    return Preflight(jobs, None, matching)


def matching_leads(close: CloseClient, plan: Plan, backup: BackupTaken | None) -> tuple[int, set[str] | None]:
    """How many of the planned leads still match, and their ids, if there is a *backup* to compare them with.

    Close lists at most 10,000 leads of a search: of more, no id is known.
    """
    if backup is None or backup.leads > LONGEST_SEARCH:
        matching = close.count(plan.s_query)
        if backup is None or matching > LONGEST_SEARCH:
            return matching, None
    matching, rows = close.count_and_search(plan.s_query, limit=LONGEST_SEARCH)
    return matching, {str(row["id"]) for row in rows} if matching <= LONGEST_SEARCH else None


def adopt_other_attempt(close: CloseClient, record: Record, plan: Plan) -> str:
    """The id of the bulk delete of *record*, another attempt's claim. Raises `Stop` unless it is for the same *plan*.

    Otherwise our report would speak of leads that were never planned here.
    """
    if record.digest != plan.digest or record.refused:
        raise Stop(Outcome.UNKNOWN, "Another attempt of this run has claimed meanwhile: retry this run.")
    return record.bulk_delete_id or _search_and_record(close, record)


def _in_ledger(jobs: list[BulkDelete], plan: Plan) -> tuple[set[str], dict[str, UUID]]:
    """If any is paused, the ids of bulk deletes that a person has given up: while these are paused, others may start.

    And the runs that have started others, by the ids of these.
    """
    if all(job.status != BulkStatus.PAUSED for job in jobs):
        return set(), {}
    given_up = {record.bulk_delete_id or "" for record in ledger.given_up(plan.organization_id)}
    open_claims, _ = ledger.list_open_claims(plan.organization_id)
    return given_up, {record.bulk_delete_id or "": record.run_id for record in open_claims}


def _post(close: CloseClient, run: Run, record: Record, plan: Plan, seen: Preflight, deadline: float) -> BulkDelete:
    try:
        _check_claim(run, record, seen.jobs)
        if not seen.matching:
            raise Stop(Outcome.NOTHING_TO_DO, "None of the planned leads matches any more.")
        if close.clock() > deadline or record.age_seconds > CLAIM_SECONDS:
            raise Refused(f"The claim is more than {CLAIM_SECONDS:.0f} s old, too old to start: retry this run.")
    except (Stop, Superseded):
        _record_refusal(record)
        raise
    try:
        return close.start_bulk_delete(plan.s_query)
    except CloseError as error:
        if error.nothing_started:
            _record_refusal(record)
            raise
        logger.warning("It isn't certain that Close started the bulk delete: %s Looking for it.", error)
        return search_until_visible(close, record)


def _check_claim(run: Run, record: Record, jobs: list[BulkDelete]) -> None:
    """Raise `Stop` if our claim has changed, the run is cancelled or suspended, or another run has an open claim.

    Raises `Superseded` if a later attempt of the run has begun. All is read after the claim is written: of two runs
    that claim at once, at least one sees the other; and a person who cancels either finds the claim or is seen here.
    """
    latest = ledger.read(record.run_id)
    if latest is None or latest.nonce != record.nonce:
        raise Stop(Outcome.UNKNOWN, f"The claim {record.name} of this run is gone: somebody changed the ledger.")
    state = check_latest(run)
    if state and is_suspended(state):
        raise Suspended
    if latest.cancelled_at or (state and (state.is_cancelling() or state.is_cancelled())):
        raise Stop(Outcome.CANCELLED, "This run was cancelled before anything was started.")
    for other in ledger.open_claims(record.organization_id):
        if other.run_id != record.run_id:
            _check_over(other, jobs)


def _check_over(other: Record, jobs: list[BulkDelete]) -> None:
    """Raise `Refused` if the bulk delete of *other*, another run's claim, isn't settled by *jobs*, Close's own list."""
    try:
        job = bulk_delete_of(other, jobs)
    except Stop:  # one has its marks, and yet isn't certainly its own
        job = None
    if job is None or not is_over(job):
        raise Refused(
            f"Run {other.run_id} ({other.cleanup}) claimed a bulk delete at {other.claimed_at:{MINUTE}}, and is not "
            f"known to have ended. `lead-cleanup resume {other.run_id}` resumes it; if Close shows no bulk delete of "
            f"it, `lead-cleanup ledger --give-up {other.run_id}` gives it up."
        )
    ledger.update(other, ended=str(job.status))


def _search_and_record(close: CloseClient, record: Record) -> str:
    job = search_until_visible(close, record)
    _record(record, job)
    return job.id


def _record(record: Record, job: BulkDelete) -> None:
    """Record which bulk delete was started. If that fails, the run waits for it all the same, and then records it.

    Meanwhile the claim keeps other runs from starting, and a retry finds the bulk delete in Close.
    """
    with log_if_it_fails(f"Recording that bulk delete {job.id} was started"):
        ledger.update(record, bulk_delete_id=job.id)


def _record_refusal(record: Record) -> None:
    """Record that nothing was started. If that fails, the run still reports why; a retry ends ``unknown``."""
    with log_if_it_fails("Recording that nothing was started"):
        ledger.update(record, ended=REFUSED)


def resume_if_paused(close: CloseClient, bulk_delete_id: str) -> None:
    """Resume a bulk delete that is paused. Raises `Stop` while the stop is set or if Close refuses, or a CloseError."""
    try:
        job = close.bulk_delete(bulk_delete_id)
    except NotFound:  # the wait finds out whether it is gone
        return
    if job.status != BulkStatus.PAUSED:
        return
    stop.check()
    try:
        close.resume_bulk_delete(bulk_delete_id)
    except NotFound:
        return
    except CloseError as error:
        raise Stop(
            Outcome.STILL_RUNNING,
            f"Bulk delete {bulk_delete_id} is paused, and can't be resumed from here: {error} Resume it in Close, and "
            "then retry this run.",
        ) from error
    logger.info("Bulk delete %s was paused at %s, and is resumed.", bulk_delete_id, job.progress)
