"""Approving a run from a terminal: see its request, and answer."""

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus

from tasks.approval.ask import LINK, Answer, Request, input_of
from tasks.report.escaping import unescape
from tasks.runs import stop
from tasks.runs.connect import prefect
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.own_state import is_suspended
from tasks.runs.wording import counted


def waits_for(found: FlowRun) -> Request:
    """The request that the run waits for. Raises `Refused` if it isn't waiting."""
    if found.state and (request := Request.read(found.state)):
        return request
    if found.state and is_suspended(found.state):
        raise Refused(f"Run {found.id} is suspended and waits for no approval: `lead-cleanup resume {found.id}`.")
    raise Refused(f"Run {found.id} is {found.state_name or 'without a state'}: it isn't waiting for approval.")


def described(found: FlowRun, request: Request) -> str:
    """What the form says about the plan, without the link."""
    if text := input_of(found.id, request.inputs["description"]):
        return unescape(str(text.decoded_value).partition(LINK)[0])
    return f"{counted(request.planned, 'lead')} would be deleted."


def answer(found: FlowRun, request: Request, given: Answer) -> None:
    """Answer as the form in the Prefect UI does; a worker resumes the run.

    Raises `Stop`: refused while cleanups are stopped or if Prefect rejects the answer, declined for a wrong number.
    """
    stop.check()
    with prefect() as server:
        result = server.resume_flow_run(found.id, run_input=given.model_dump(mode="json"))
    if result.status != SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", result.status)
        raise Refused(f"Prefect rejected the answer for run {found.id}: {reason}")
    if given.leads != request.planned:
        wrong = f"The plan has {counted(request.planned, 'lead')}, not {given.leads:,}"
        raise Stop(Outcome.DECLINED, f"{wrong}: run {found.id} ends and deletes nothing.")
