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


def resume(flow_run: FlowRun, by: str, *, start_again: bool, confirm: Callable[[str], bool] | None = None) -> bool:
    """Resume the run in the name of *by*. Returns whether the caller has to make the new attempt, not a worker.

    With *start_again* it may start a bulk delete once more, which only a person may say: see `permit`. A run that is
    alive needs no new attempt: only its bulk delete is resumed. A run without a deployment whose process is gone is
    taken over; where that can't be seen, *confirm* shows a person what is known, and returns whether it is gone.
    Raises `Stop`, and a CloseError.
    """
    if flow_run.state and flow_run.state.is_paused() and not is_suspended(flow_run.state):
        raise Refused(f"Run {flow_run.id} waits for an approval: `lead-cleanup approve {flow_run.id}`.")
    if flow_run.state and flow_run.state.is_cancelling():
        raise Refused(f"Run {flow_run.id} is being cancelled: resume it when it is Cancelled, in a minute or a few.")
    stop.check()
    record = ledger.read(flow_run.id)
    if flow_run.state and flow_run.state.is_completed():
        raise Refused(
            f"Run {flow_run.id} is {_state(flow_run)}: `lead-cleanup report {flow_run.id}` says how it ended."
        )
    if record and (act := record.given_up) and not start_again:
        job = f"resume bulk delete {record.bulk_delete_id} in Close, or " if record.bulk_delete_id else ""
        raise Refused(
            f"The claim of run {flow_run.id} was given up by {act.by} on {act.at:{MINUTE}}: {job}run the cleanup again."
        )
    if not _is_over(flow_run) and flow_run.deployment_id is None and _has_no_process(flow_run, confirm):
        flow_run = _set_crashed(flow_run, by)
    if start_again:
        record = permit(flow_run, record, by)
    if not _is_over(flow_run):
        if record is None or record.bulk_delete_id is None:
            raise Refused(
                f"Run {flow_run.id} is {_state(flow_run)}: there is nothing to resume.{_if_it_has_died(flow_run)}"
            )
        with connect(record.organization_id) as close:
            resume_if_paused(close, record.bulk_delete_id)
        lives = "" if flow_run.deployment_id else " in a process that lives on this machine"
        logger.info("Run %s is %s%s, and keeps waiting.", flow_run.id, _state(flow_run), lives)
        return False
    _retry(flow_run, by)
    if flow_run.deployment_id:
        logger.info("Run %s is scheduled again; a worker picks it up.", flow_run.id)
    return flow_run.deployment_id is None


def permit(flow_run: FlowRun, record: Record | None, by: str) -> Record:
    """Permit the run to start again, once, although it isn't known what became of its claim. Looks a last time first.

    Raises `Refused` unless a permission is needed.
    """
    if not _is_over(flow_run):
        raise Refused(f"Run {flow_run.id} is {_state(flow_run)}: wait until it has ended.")
    if record is None or record.refused:
        raise Refused(f"Run {flow_run.id} has started nothing: resume it without --start-again.")
    if record.bulk_delete_id:
        raise Refused(f"Run {flow_run.id} has started {record.bulk_delete_id}: resume it without --start-again.")
    if job := _last_look(record):
        raise Refused(f"Close shows bulk delete {job.id} of this run: resume it without --start-again.")
    return ledger.update(record, ended=GIVEN_UP, permission=Act(by=by))


def give_up(flow_run: FlowRun, by: str) -> Record:
    """Record, in the name of *by*, that the run's claim has ended, so that other runs may start.

    Changes nothing in Close. Raises `Refused` if there is nothing to give up, or Close is still deleting.
    """
    record = ledger.read(flow_run.id)
    if record is None or record.ended:
        raise Refused(f"Run {flow_run.id} has no open claim.")
    if not _is_over(flow_run):
        raise Refused(f"Run {flow_run.id} is {_state(flow_run)}: cancel it first.")
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


def _has_no_process(flow_run: FlowRun, confirm: Callable[[str], bool] | None) -> bool:
    """Whether the process of a run without a deployment has ended. Raises `Refused` if nobody can tell."""
    process = Process.of(flow_run)
    gone = is_gone(process, Process.here()) if process else None
    if gone is None:
        where = process.host if process else "a machine that nobody recorded"
        seen = f"at {plain(flow_run.state.timestamp):{MINUTE}}" if flow_run.state else "at an unknown time"
        known = (
            f"Run {flow_run.id} is {_state(flow_run)}: it was executed on {where}, and last heard of {seen}. "
            "Whether its process still lives can't be seen from here."
        )
        if confirm is None:
            raise Refused(
                f"{known} If it is gone, say so at a terminal: `lead-cleanup resume {flow_run.id}` asks there."
            )
        if not confirm(known):
            raise Refused(f"Nothing was changed: run {flow_run.id} is {_state(flow_run)}.")
        return True
    return gone


def _set_crashed(flow_run: FlowRun, by: str) -> FlowRun:
    logger.warning("The process of run %s ended without recording how: taking the run over.", flow_run.id)
    with prefect() as server:
        server.set_flow_run_state(
            flow_run.id, Crashed(message=f"Its process is gone; {by} resumes the run."), force=True
        )
        return server.read_flow_run(flow_run.id)


def _retry(flow_run: FlowRun, by: str) -> None:
    if flow_run.deployment_id:
        ended = plain(flow_run.state.timestamp) if flow_run.state else datetime.now(UTC)
        time.sleep(max(0.0, CRASH_IS_REPORTED_WITHIN - (datetime.now(UTC) - ended).total_seconds()))
    with prefect() as server:
        server.set_flow_run_state(flow_run.id, AwaitingRetry(message=f"Resumed by {by}."), force=True)


def _is_over(flow_run: FlowRun) -> bool:
    """Whether no process is expected to execute the run."""
    return flow_run.state is not None and (flow_run.state.is_final() or is_suspended(flow_run.state))


def _if_it_has_died(flow_run: FlowRun) -> str:
    """What becomes of a deployed run that is shown as Running, and whose worker is gone."""
    if flow_run.deployment_id is None or not (flow_run.state and flow_run.state.is_running()):
        return ""
    return " If its worker has died, the automations mark it Crashed within two minutes, and retry it."


def _state(flow_run: FlowRun) -> str:
    return str(flow_run.state.name) if flow_run.state else "without a state"
