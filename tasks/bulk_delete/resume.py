"""What a person does about a run that hasn't ended: resume it, let it start again, or give it up.

Each is an act on the ledger, with the person's name; a run's parameters can't change when it is retried.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Crashed

from tasks.bulk_delete.find import LOOK_SECONDS, bulk_delete_of, visible_in_seconds
from tasks.bulk_delete.start import resume_if_paused
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.ledger import store as ledger
from tasks.ledger.record import GIVEN_UP, Act, Record
from tasks.runs import stop
from tasks.runs.alive import Process, is_gone
from tasks.runs.connect import connect, plain, prefect
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.own_state import is_suspended
from tasks.runs.wording import MINUTE

logger = logging.getLogger(__name__)

CRASH_IS_REPORTED_WITHIN = 5.0
"""Seconds: first by the flow's runner, and some three seconds later by the worker, over any state set meanwhile."""


def resume(found: FlowRun, by: str, *, start_again: bool, confirm: Callable[[str], bool] | None = None) -> bool:
    """Resume the run in the name of *by*. Returns whether the caller has to make the new attempt, not a worker.

    With *start_again* it may start a bulk delete once more, which only a person may say: see `permit`. A run that is
    alive needs no new attempt: only its bulk delete is resumed. A run without a deployment whose process is gone is
    taken over; where that can't be seen, *confirm* shows a person what is known, and returns whether it is gone.
    Raises `Stop`, and a CloseError.
    """
    if found.state and found.state.is_paused() and not is_suspended(found.state):
        raise Refused(f"Run {found.id} waits for an approval: `lead-cleanup approve {found.id}`.")
    if found.state and found.state.is_cancelling():
        raise Refused(f"Run {found.id} is being cancelled: resume it when it is Cancelled, in a minute or a few.")
    stop.check()
    record = ledger.read(found.id)
    if found.state and found.state.is_completed():
        raise Refused(f"Run {found.id} is {_state(found)}: `lead-cleanup report {found.id}` says how it ended.")
    if record and (act := record.given_up) and not start_again:
        job = f"resume bulk delete {record.bulk_delete_id} in Close, or " if record.bulk_delete_id else ""
        raise Refused(
            f"The claim of run {found.id} was given up by {act.by} on {act.at:{MINUTE}}: {job}run the cleanup again."
        )
    if not _is_over(found) and found.deployment_id is None and _has_no_process(found, confirm):
        found = _set_crashed(found, by)
    if start_again:
        record = permit(found, record, by)
    if not _is_over(found):
        if record is None or record.bulk_delete_id is None:
            raise Refused(f"Run {found.id} is {_state(found)}: there is nothing to resume.{_if_it_has_died(found)}")
        with connect(record.organization_id) as close:
            resume_if_paused(close, record.bulk_delete_id)
        lives = "" if found.deployment_id else " in a process that lives on this machine"
        logger.info("Run %s is %s%s, and keeps waiting.", found.id, _state(found), lives)
        return False
    _retry(found, by)
    if found.deployment_id:
        logger.info("Run %s is scheduled again; a worker picks it up.", found.id)
    return found.deployment_id is None


def permit(found: FlowRun, record: Record | None, by: str) -> Record:
    """Permit the run to start again, once, although it isn't known what became of its claim. Looks a last time first.

    Raises `Refused` unless a permission is needed.
    """
    if not _is_over(found):
        raise Refused(f"Run {found.id} is {_state(found)}: wait until it has ended.")
    if record is None or record.refused:
        raise Refused(f"Run {found.id} has started nothing: resume it without --start-again.")
    if record.bulk_delete_id:
        raise Refused(f"Run {found.id} has started {record.bulk_delete_id}: resume it without --start-again.")
    if job := _last_look(record):
        raise Refused(f"Close shows bulk delete {job.id} of this run: resume it without --start-again.")
    return ledger.update(record, ended=GIVEN_UP, permission=Act(by=by))


def give_up(found: FlowRun, by: str) -> Record:
    """Record, in the name of *by*, that the run's claim has ended, so that other runs may start.

    Changes nothing in Close. Raises `Refused` if there is nothing to give up, or Close is still deleting.
    """
    record = ledger.read(found.id)
    if record is None or record.ended:
        raise Refused(f"Run {found.id} has no open claim.")
    if not _is_over(found):
        raise Refused(f"Run {found.id} is {_state(found)}: cancel it first.")
    try:
        job = _last_look(record)
    except Stop as error:
        if error.outcome is not Outcome.UNKNOWN:
            raise
        logger.warning("%s", error)  # while that one is unfinished, other runs are refused all the same
        job = None
    if job and not job.finished and job.status != BulkStatus.PAUSED:
        raise Refused(f"Bulk delete {job.id} of this run is {job.status} at {job.progress}: pause it in Close first.")
    facts = {"bulk_delete_id": job.id} if job else {}
    return ledger.update(record, ended=GIVEN_UP, given_up=Act(by=by), **facts)


def _last_look(record: Record) -> BulkDelete | None:
    """The claim's bulk delete, if Close shows it. For a young claim, waits as long as it may take to show."""
    with connect(record.organization_id) as close:
        left = visible_in_seconds(close, record)
        if left:
            logger.info("The claim is young: looking for its bulk delete in Close, for %.0f seconds …", left)
        deadline = close.clock() + left
        while True:
            if job := bulk_delete_of(record, close.bulk_deletes()):
                return job
            if close.clock() >= deadline:
                return None
            close.sleep(LOOK_SECONDS)


def _has_no_process(found: FlowRun, confirm: Callable[[str], bool] | None) -> bool:
    """Whether the process of a run without a deployment has ended. Raises `Refused` if nobody can tell."""
    process = Process.of(found)
    gone = is_gone(process, Process.here()) if process else None
    if gone is None:
        where = process.host if process else "a machine that nobody recorded"
        seen = f"at {plain(found.state.timestamp):{MINUTE}}" if found.state else "at an unknown time"
        known = (
            f"Run {found.id} is {_state(found)}: it was executed on {where}, and last heard of {seen}. "
            "Whether its process still lives can't be seen from here."
        )
        if confirm is None:
            raise Refused(f"{known} If it is gone, say so at a terminal: `lead-cleanup resume {found.id}` asks there.")
        if not confirm(known):
            raise Refused(f"Nothing was changed: run {found.id} is {_state(found)}.")
        return True
    return gone


def _set_crashed(found: FlowRun, by: str) -> FlowRun:
    logger.warning("The process of run %s ended without recording how: taking the run over.", found.id)
    with prefect() as server:
        server.set_flow_run_state(found.id, Crashed(message=f"Its process is gone; {by} resumes the run."), force=True)
        return server.read_flow_run(found.id)


def _retry(found: FlowRun, by: str) -> None:
    if found.deployment_id:
        ended = plain(found.state.timestamp) if found.state else datetime.now(UTC)
        time.sleep(max(0.0, CRASH_IS_REPORTED_WITHIN - (datetime.now(UTC) - ended).total_seconds()))
    with prefect() as server:
        server.set_flow_run_state(found.id, AwaitingRetry(message=f"Resumed by {by}."), force=True)


def _is_over(found: FlowRun) -> bool:
    """Whether no process is expected to execute the run."""
    return found.state is not None and (found.state.is_final() or is_suspended(found.state))


def _if_it_has_died(found: FlowRun) -> str:
    """What becomes of a deployed run that is shown as Running, and whose worker is gone."""
    if found.deployment_id is None or not (found.state and found.state.is_running()):
        return ""
    return " If its worker has died, the automations mark it Crashed within two minutes, and retry it."


def _state(found: FlowRun) -> str:
    return str(found.state.name) if found.state else "without a state"
