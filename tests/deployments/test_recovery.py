"""Recovery without a person, on a real server: runs that died go on or are given up, and nobody else's is touched."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from deployed_runs import StartWorker, await_state, history, wait_for, within
from foreign_flow import somebody_elses
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.events.schemas.events import Event
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Pending, Running
from support.attempts import suspend
from support.close_account import CloseAccount, lead

from deployments import automations
from tasks.bulk_delete.attempt import MOST_RETRIES
from tasks.runs.attempts import BY_AUTOMATION

# A server of its own: what is here takes as long as all the others.
pytestmark = [pytest.mark.server, pytest.mark.system, pytest.mark.xdist_group("recovery")]

SOONEST = 10  # seconds: the least that Prefect takes for `within`
SILENCE = 20  # seconds; Prefect's heartbeats come every 30: here a run is killed, or ends, before its second one is due
PACE = 0.3  # seconds
JUNK = {"match": {"status": ["Junk"]}}


@pytest.fixture
def hurried(prefect: SyncPrefectClient) -> Iterator[SyncPrefectClient]:
    """The server, with automations that take seconds."""
    silent, _, crashed, *_ = automations.read()
    automations.apply(prefect, [within(SILENCE, silent), within(SOONEST, crashed)])
    yield prefect
    automations.apply(prefect, automations.read())


@pytest.fixture
def theirs(prefect: SyncPrefectClient) -> Iterator[UUID]:
    """A deployment of another flow for the same workers, with heartbeats as ours and without our tag."""
    flow_id = prefect.create_flow(somebody_elses)
    yield prefect.create_deployment(
        flow_id,
        "theirs",
        entrypoint="foreign_flow.py:somebody_elses",
        work_pool_name="lead-cleanup",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(Path(__file__).parent)}}],
        job_variables={"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}},
        tags=["theirs"],
    )
    prefect.delete_flow(flow_id)


@pytest.fixture
def ad_hoc(prefect: SyncPrefectClient) -> UUID:
    """A deployment of ours."""
    return prefect.read_deployment_by_name("lead-cleanup/ad-hoc").id


def test_a_run_whose_worker_was_stopped_goes_on_by_itself_and_another_flows_run_is_left_alone(
    hurried: SyncPrefectClient, start_worker: StartWorker, sandbox: CloseAccount, ad_hoc: UUID, theirs: UUID
) -> None:
    """The worker takes its processes with it and tells nobody: both runs stay Running. A new one finds nothing to do
    until the automations act, and then the run finds its bulk delete and waits on.
    """
    sandbox.add(*(lead(f"junk {n}", "Junk") for n in range(3)), lead("B"), lead("C"))
    sandbox.jobs(leads_per_second=0.1)

    with start_worker():
        other = hurried.create_flow_run_from_deployment(theirs).id
        await_heartbeat(hurried, other)
        ours = hurried.create_flow_run_from_deployment(ad_hoc, parameters={**JUNK, "dry_run": False}).id
        await_wait(sandbox)
    with start_worker():
        run = await_state(hurried, ours, "Deleted")

    assert run.run_count == 2
    assert {"lead-cleanup", "live", sandbox.organization_id()} <= set(run.tags)
    assert len(sandbox.posts("/bulk_action/delete/")) == 1
    assert len(sandbox.leads()) == 2
    assert [(each.type.value, each.message) for each in after_running(hurried, ours)][:3] == [
        ("PAUSED", "Nothing was heard of this run for two minutes."),
        ("CRASHED", "Nothing was heard of this run for two minutes."),
        ("SCHEDULED", BY_AUTOMATION),
    ]
    assert after_running(hurried, other) == []


def test_what_has_crashed_is_tried_again_unless_a_person_has_cancelled_it_or_it_is_not_ours(
    hurried: SyncPrefectClient, ad_hoc: UUID, theirs: UUID
) -> None:
    """The run that is tried again crashes last: when it is its turn, that of the others is over."""
    cancelled = live_through(hurried, ad_hoc, Pending(), Running(), Crashed(), Cancelled())
    foreign = live_through(hurried, theirs, Pending(), Running(), Crashed())
    ours = live_through(hurried, ad_hoc, Pending(), Running(), Crashed())

    await_state(hurried, ours, "AwaitingRetry")

    assert hurried.read_flow_run(cancelled).state_name == "Cancelled"
    assert hurried.read_flow_run(foreign).state_name == "Crashed"
    for each in (foreign, ours):
        hurried.set_flow_run_state(each, Completed(), force=True)


def test_a_run_that_a_person_has_suspended_is_touched_by_no_automation(
    hurried: SyncPrefectClient, ad_hoc: UUID
) -> None:
    """Although a heartbeat of its process arrives afterwards. The other run falls silent later: once that is retried,
    the time of the first is over.
    """
    suspended = live_through(hurried, ad_hoc, Pending(), Running())
    suspend(suspended, hurried)
    beat(hurried, suspended)
    dead = live_through(hurried, ad_hoc, Pending(), Running())
    beat(hurried, dead)

    await_state(hurried, dead, "AwaitingRetry")

    assert [each.name for each in after_running(hurried, suspended)] == ["Suspended"]
    for each in (suspended, dead):
        hurried.set_flow_run_state(each, Completed(), force=True)


@pytest.mark.exhaustive
def test_a_run_that_crashes_again_and_again_is_left_to_a_person(
    hurried: SyncPrefectClient, start_worker: StartWorker, ad_hoc: UUID
) -> None:
    """Five times it was tried again, and has crashed; the sixth time, the flow itself says that it is enough."""
    tried_again: list[State[Any]] = [AwaitingRetry(message=BY_AUTOMATION), Pending(), Running(), Crashed()]

    run_id = live_through(hurried, ad_hoc, Pending(), Running(), Crashed(), *tried_again * MOST_RETRIES)
    with start_worker():
        run = await_state(hurried, run_id, "Failed")

    assert run.run_count == 1 + MOST_RETRIES + 1
    assert run.state
    assert str(run.state.message).startswith(f"This run has crashed and was retried {MOST_RETRIES} times in a row")


@pytest.mark.exhaustive
def test_a_run_that_had_ended_stays_as_it_had_ended(
    prefect: SyncPrefectClient, start_worker: StartWorker, sandbox: CloseAccount, ad_hoc: UUID
) -> None:
    """Prefect would put it back, and may do so when it carries out an action twice."""
    sandbox.add(lead("A", "Junk"))

    run_id = live_through(
        prefect,
        ad_hoc,
        *(Pending(), Running(), Failed(name="Refused", message="Too many."), AwaitingRetry(message=BY_AUTOMATION)),
    )
    with start_worker():
        run = await_state(prefect, run_id, "Refused", attempt=2)

    assert run.state
    assert run.state.message == "Too many."
    assert sandbox.requests() == []


def test_a_run_that_crashes_before_its_flow_begins_is_left_to_a_person(
    hurried: SyncPrefectClient, ad_hoc: UUID
) -> None:
    """Its code can't be loaded, say: the flow, which counts its tries, is never reached."""
    tried_again: list[State[Any]] = [AwaitingRetry(message=BY_AUTOMATION), Pending(), Crashed()]

    run_id = live_through(hurried, ad_hoc, Pending(), Crashed(), *tried_again * MOST_RETRIES)
    run = await_state(hurried, run_id, "Failed")

    assert run.run_count == 0
    assert run.state
    assert str(run.state.message).startswith("Crashed six times before it could begin")


def live_through(prefect: SyncPrefectClient, deployment: UUID, *states: State[Any]) -> UUID:
    """A run that no worker has, and that goes through *states*.

    Not at once: when events come in a burst, a server on SQLite may lose one, and then waits for it for 15 minutes.
    """
    run_id = prefect.create_flow_run_from_deployment(deployment, parameters=JUNK).id
    for state in states:
        prefect.set_flow_run_state(run_id, state)
        time.sleep(PACE)
    return run_id


def await_heartbeat(prefect: SyncPrefectClient, run_id: UUID) -> None:
    """Wait until the server has had a heartbeat of the run: from then on, an automation could miss the next."""

    def look() -> Sequence[Event]:
        heartbeats = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
        )
        return prefect.read_events(heartbeats, limit=1).events

    wait_for(look, lambda: prefect.read_flow_run(run_id).state)


def beat(prefect: SyncPrefectClient, run_id: UUID) -> None:
    """A heartbeat, as the run's process would send it."""
    tags = prefect.read_flow_run(run_id).tags
    event: dict[str, Any] = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "related": [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags],
    }
    httpx.post(f"{str(prefect.api_url).rstrip('/')}/events", json=[event]).raise_for_status()
    time.sleep(PACE)


def await_wait(sandbox: CloseAccount) -> None:
    """Wait until a run waits for its bulk delete."""

    def asked() -> bool:
        return any("/bulk_action/delete/bulkdelete_" in each["path"] for each in sandbox.requests())

    wait_for(asked, sandbox.requests)


def after_running(prefect: SyncPrefectClient, run_id: UUID) -> list[State[Any]]:
    """What became of the run after it first was running."""
    states = history(prefect, run_id)
    began = next(place for place, state in enumerate(states) if state.type == StateType.RUNNING)
    return states[began + 1 :]
