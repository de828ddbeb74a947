"""What a person does from a terminal about a run that waits for an approval: see what it asks, and answer."""

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus

from tasks.approval.ask import LINK, Answer, Request, input_of
from tasks.report.markdown import unescape
from tasks.runs import stop
from tasks.runs.connect import prefect
from tasks.runs.outcomes import Outcome, Refused, Stop


def waits_for(found: FlowRun) -> Request:
    """What the run waits to have approved. Raises `Refused` if it doesn't."""
    request = Request.read(found.state) if found.state else None
    if request is None:
        raise Refused(f"Run {found.id} is {found.state_name or 'without a state'}: it waits for no approval.")
    return request


def described(found: FlowRun, request: Request) -> str:
    """What the form says about the plan, without its link."""
    text = input_of(found.id, request.inputs["description"])
    return (
        unescape(str(text.decoded_value).partition(LINK)[0]) if text else f"{request.planned:,} leads would be deleted."
    )


def answer(found: FlowRun, request: Request, given: Answer) -> None:
    """Answer as the form in the Prefect UI does; a worker goes on with the run.

    Raises `Stop`: refused while cleanups are stopped or where Prefect takes no answer, declined for a wrong number.
    """
    stop.check()
    with prefect() as server:
        said = server.resume_flow_run(found.id, run_input=given.model_dump(mode="json"))
    if said.status != SetStateStatus.ACCEPT:
        raise Refused(f"Prefect takes no answer for run {found.id}: {getattr(said.details, 'reason', said.status)}")
    if given.leads != request.planned:
        raise Stop(
            Outcome.DECLINED,
            f"{request.planned:,} leads are planned, not {given.leads:,}: run {found.id} ends, and deletes nothing.",
        )
