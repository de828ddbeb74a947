"""What needs a person, as far as Prefect knows. Close isn't asked, so that no key and no outage there can stop it."""

from datetime import datetime, timedelta
from functools import partial

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse

from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.runs import stop
from tasks.runs.connect import all_pages, plain
from tasks.runs.look_up import FLOWS
from tasks.runs.run import TAG

OF_OUR_FLOWS = FlowFilter.model_validate({"name": {"any_": [*FLOWS]}})
LATE = timedelta(minutes=30)
"""A run that was due this long ago and hasn't begun has no worker."""


def deployments(server: SyncPrefectClient) -> list[DeploymentResponse]:
    """The deployments of cleanups and restores, in every organisation."""
    tagged = DeploymentFilter.model_validate({"tags": {"all_": [TAG]}})
    return list(all_pages(partial(server.read_deployments, flow_filter=OF_OUR_FLOWS, deployment_filter=tagged)))


def is_stopped(run: FlowRun) -> bool:
    """Whether the stop has refused *run*. The stop needs a person, the runs that it refuses don't."""
    return bool(run.state and run.state.message and run.state.message.startswith(stop.STOPPED))


def why_a_person(run: FlowRun, now: datetime) -> str:
    """Why *run* needs a person; empty if it doesn't."""
    state, due = run.state, run.expected_start_time
    match state.type if state else None:
        case _ if is_stopped(run):
            return ""
        case StateType.FAILED | StateType.CRASHED:
            return (state and state.message) or "It failed."
        case StateType.PAUSED:
            return (state and state.message) or "It waits for a person."
        case StateType.SCHEDULED | StateType.PENDING if not run.run_count and due and now - plain(due) > LATE:
            return "No worker has picked it up."
        case _:
            return ""


def abandoned_claims(server: SyncPrefectClient) -> tuple[list[tuple[Record, FlowRun | None]], list[str]]:
    """The open claims whose run won't continue by itself, each with its run; and a sentence for each unreadable one."""
    claims, unreadable = ledger.list_open_claims()
    ids = FlowRunFilter.model_validate({"id": {"any_": [each.run_id for each in claims]}})
    runs = {each.id: each for each in server.read_flow_runs(flow_run_filter=ids)} if claims else {}
    found = [(each, runs.get(each.run_id)) for each in claims]
    return [(claim, run) for claim, run in found if not (run and _continues(run))], unreadable


def _continues(run: FlowRun) -> bool:
    return run.state is not None and not run.state.is_final() and not run.state.is_paused()
