"""Approving a run from a terminal: see its request, and answer."""

import re
from urllib.parse import urljoin

from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_UI_URL

from tasks.approval.ask import Answer, Request, input_of
from tasks.report.escaping import unescape
from tasks.runs import stop
from tasks.runs.connect import prefect
from tasks.runs.look_up import FLOW, look_up, means, only
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.own_state import is_suspended
from tasks.runs.wording import counted

LINK = re.compile(r"\[([^]\\]+)\]\(([^)\s]+)\)")  # what customers wrote is escaped, and doesn't match


def waiting() -> list[FlowRun]:
    """The runs that wait for an approval, the one that has waited longest first."""
    of_cleanups = FlowFilter.model_validate({"name": {"any_": [FLOW]}})
    paused = FlowRunFilter.model_validate({"state": {"type": {"any_": [StateType.PAUSED]}}})
    with prefect() as server:
        found = server.read_flow_runs(flow_filter=of_cleanups, flow_run_filter=paused)
    asking = [(each.state.timestamp, each) for each in found if each.state and Request.read(each.state)]
    return [each for _, each in sorted(asking, key=lambda asked: asked[0])]


def look_up_waiting(text: str) -> FlowRun:
    """The run that *text* names: of several, the one that waits for an approval. Raises `Refused`."""
    meant = [each for each in waiting() if means(text, each)]
    return only(text, meant) if meant else look_up(text)


def waits_for(flow_run: FlowRun) -> Request:
    """The request that the run waits for. Raises `Refused` if it isn't waiting."""
    if flow_run.state and (request := Request.read(flow_run.state)):
        return request
    if flow_run.state and is_suspended(flow_run.state):
        raise Refused(f"Run {flow_run.id} is suspended and waits for no approval: `lead-cleanup resume {flow_run.id}`.")
    raise Refused(f"Run {flow_run.id} is {flow_run.state_name or 'without a state'}: it isn't waiting for approval.")


def described(flow_run: FlowRun, request: Request) -> str:
    """What the form says about the plan, for a terminal."""
    if text := input_of(flow_run.id, request.inputs["description"]):
        ui = PREFECT_UI_URL.value() or ""
        said = LINK.sub(lambda link: f"{link[1]} ({urljoin(ui, link[2])})", str(text.decoded_value))
        return unescape(said.replace("**", ""))
    return f"{counted(request.planned, 'lead')} would be deleted."


def answer(flow_run: FlowRun, request: Request, given: Answer) -> None:
    """Answer as the form in the Prefect UI does; a worker resumes the run.

    Raises `Stop`: refused while cleanups are stopped or if Prefect rejects the answer, declined for a wrong number.
    """
    stop.check()
    with prefect() as server:
        result = server.resume_flow_run(flow_run.id, run_input=given.model_dump(mode="json"))
    if result.status != SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", result.status)
        raise Refused(f"Prefect rejected the answer for run {flow_run.id}: {reason}")
    if given.leads != request.planned:
        wrong = f"The plan has {counted(request.planned, 'lead')}, not {given.leads:,}"
        raise Stop(Outcome.DECLINED, f"{wrong}: run {flow_run.id} ends and deletes nothing.")
