"""What recovery without a person rests on: heartbeats, and triggers that fire when what they expect doesn't come.

Each test says in its assertion what of ours would break. All runs but one have no process here: tests put them into
their states through the API, and send their heartbeats.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import contract_flows
import httpx
import pytest
from contract_runs import Deploy, Lives, wait_for
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Suspended,
)
from support.variations import first

pytestmark = [pytest.mark.server, pytest.mark.exhaustive, pytest.mark.xdist_group("prefect_contract")]

HEARTBEAT = "prefect.flow-run.heartbeat"
SOONEST = 10  # seconds: the least that Prefect takes for `within`
PACE = 0.3  # seconds; a server on SQLite may lose events that come in a burst
TAG = "contract-recovery"
MESSAGE = "By the contract's automation."


class Watch:
    """A server with an automation or two, and runs that these may act on."""

    def __init__(self, prefect: SyncPrefectClient, deployment: UUID) -> None:
        self.prefect = prefect
        self.deployment = deployment

    def automation(self, state: StateType, name: str | None = None, **trigger: Any) -> None:
        """Puts runs with our tag into *state*, when the *trigger* fires."""
        given: dict[str, Any] = {
            "type": "event",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
            "for_each": {"prefect.resource.id"},
            "within": SOONEST,
            **trigger,
        }
        act = ChangeFlowRunState(state=state, name=name, message=MESSAGE, force=False)
        self.prefect.create_automation(
            AutomationCore(name=str(uuid4()), trigger=EventTrigger.model_validate(given), actions=[act])
        )

    def run(self, *states: State[Any], tag: str = TAG) -> UUID:
        """A run that goes through *states*; no worker takes it while it isn't scheduled."""
        run = self.prefect.create_flow_run_from_deployment(
            self.deployment, parameters={"notes": ""}, tags=[tag], state=Pending()
        )
        for state in states:
            time.sleep(PACE)
            self.prefect.set_flow_run_state(run.id, state)
        return run.id

    def beat(self, run_id: UUID) -> None:
        """A heartbeat, as the run's process would send it."""
        event: dict[str, Any] = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": HEARTBEAT,
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "related": [{"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}],
        }
        httpx.post(f"{str(self.prefect.api_url).rstrip('/')}/events", json=[event]).raise_for_status()

    def states(self, run_id: UUID) -> list[tuple[str, str | None]]:
        """Types and messages of the run's states, oldest first."""
        states = sorted(self.prefect.read_flow_run_states(run_id), key=lambda state: state.timestamp)
        return [(state.type.value, state.message) for state in states]


@pytest.fixture
def watch(prefect: SyncPrefectClient, deploy: Deploy) -> Iterator[Watch]:
    yield Watch(prefect, deploy(contract_flows.prompt, "watched"))
    for each in prefect.read_automations():
        prefect.delete_automation(each.id)


def test_a_heartbeat_comes_at_the_start_and_bears_the_tags_of_the_run(lives: Lives) -> None:
    """Rests on it: runs of ours are watched from the beginning, and other people's never are."""
    life = lives.interrupted

    def look() -> list[dict[str, Any]]:
        these = {"event": {"name": [HEARTBEAT]}, "any_resource": {"id": [f"prefect.flow-run.{life.run_id}"]}}
        found = httpx.post(f"{str(life.prefect.api_url).rstrip('/')}/events/filter", json={"filter": these})
        return found.raise_for_status().json()["events"]

    [beat, *_] = wait_for("A run sends no heartbeat when it starts: one that dies early is never found", look)

    assert {"prefect.resource.id": "prefect.tag.contract", "prefect.resource.role": "tag"} in beat["related"], (
        "A heartbeat doesn't bear the tags of its run: the automations no longer see which runs are ours."
    )


def test_a_run_that_falls_silent_is_told_from_one_that_lives(watch: Watch) -> None:
    """Rests on it: deployments/automations.yaml calls the dead crashed, and not those that live.

    Nothing rests on runs that have suspended themselves: the server may miss that, and then they ask once more.
    """
    watch.automation(StateType.CRASHED, posture=Posture.Proactive, after={HEARTBEAT}, expect={"prefect.flow-run.*"})
    lives, dead = (watch.run(Running()) for _ in range(2))
    for each in (lives, dead):
        watch.beat(each)

    def look() -> bool:
        watch.beat(lives)
        return ("CRASHED", MESSAGE) in watch.states(dead)

    wait_for("A run whose heartbeats stop isn't called crashed, with our message: nobody finds it", look)

    assert watch.states(lives)[-1] == ("RUNNING", None), "A run that goes on sending heartbeats is called crashed."


def test_what_has_crashed_is_put_back_once_unless_something_is_heard_of_it(watch: Watch) -> None:
    """Rests on it: automations try again only crashed runs, and none that a person has cancelled or that lives on."""
    watch.automation(
        StateType.SCHEDULED,
        "AwaitingRetry",
        posture=Posture.Proactive,
        after={"prefect.flow-run.Crashed"},
        expect={"prefect.flow-run.*"},
    )
    cancelled = watch.run(Running(), Crashed(), Cancelled())
    lives = watch.run(Running(), Crashed())
    watch.beat(lives)
    foreign = watch.run(Running(), Crashed(), tag="somebody-elses")
    dead = watch.run(Running(), Crashed())
    put_back = ("SCHEDULED", MESSAGE)

    wait_for("A crashed run isn't put back: it waits for a person", lambda: put_back in watch.states(dead))

    assert watch.states(dead).count(put_back) == 1, "A crashed run is put back more than once: two copies of it run."
    assert put_back not in watch.states(cancelled), "A crashed run that a person has cancelled is tried again."
    assert put_back not in watch.states(lives), "A run that lives on is tried again, beside itself."
    assert put_back not in watch.states(foreign), "A run without our tag is tried again: it is not ours to touch."


def test_crashes_are_counted_for_each_run_and_for_each_time_that_it_began(watch: Watch) -> None:
    """Rests on it: a run that can't begin is given up; one that begins each time counts its tries itself."""
    watch.automation(
        StateType.FAILED,
        posture=Posture.Reactive,
        expect={"prefect.flow-run.Crashed"},
        for_each={"prefect.resource.id", "prefect.run-count"},
        threshold=2,
        within=600,
    )
    begins = watch.run(Running(), Crashed(), Pending(), Running(), Crashed())
    never_begins = watch.run(Crashed(), Pending(), Crashed())

    wait_for(
        "A run that crashes again and again before it begins isn't given up: it is tried again for ever",
        lambda: ("FAILED", MESSAGE) in watch.states(never_begins),
    )

    assert watch.states(begins)[-1][0] == "CRASHED", "A run that begins each time is given up by the automation."


@pytest.mark.parametrize(
    "end", first(2, [Completed(), Cancelling(), Failed(), Cancelled()]), ids=lambda end: str(end.name)
)
def test_what_has_ended_or_is_being_cancelled_cannot_be_called_crashed(watch: Watch, end: State[Any]) -> None:
    """Rests on it: a heartbeat that arrives after the end makes no crash, and no further attempt, of a good end."""
    run_id = watch.run(Running(), end)

    watch.prefect.set_flow_run_state(run_id, Crashed())

    assert watch.states(run_id)[-1][0] == end.type.value, (
        f"A run that is {end.name} can be called crashed: when a last heartbeat comes late, it is tried again."
    )


@pytest.mark.parametrize(
    "end",
    first(2, [Suspended(timeout_seconds=600), Completed(), Failed(), Cancelled(), Cancelling()]),
    ids=lambda end: str(end.name),
)
def test_only_a_run_that_is_running_can_be_called_silent(watch: Watch, end: State[Any]) -> None:
    """Rests on it: a heartbeat that arrives after a person has suspended a run makes no crash of it, for the automation
    pauses what falls silent before it is called crashed.
    """
    run_id, dead = watch.run(Running(), end), watch.run(Running())

    for each in (run_id, dead):
        watch.prefect.set_flow_run_state(each, Paused(name="Silent"))
    watch.prefect.set_flow_run_state(dead, Crashed())
    watch.prefect.set_flow_run_state(dead, AwaitingRetry(message=MESSAGE))

    assert watch.states(run_id)[-1][0] == end.type.value, (
        f"A run that is {end.name} can be paused: when a last heartbeat comes late, it is called crashed."
    )
    assert [state for state, _ in watch.states(dead)][-3:] == ["PAUSED", "CRASHED", "SCHEDULED"], (
        "A run that has fallen silent can't be paused, called crashed and tried again: nobody finds it."
    )


def test_a_run_that_waits_for_its_turn_is_scheduled_again_without_a_message(
    prefect: SyncPrefectClient, deploy: Deploy
) -> None:
    """Rests on it: Run.retries_by_automation can tell what Prefect schedules from what somebody has asked for."""
    deployment = deploy(contract_flows.prompt, "one-at-a-time", concurrency_limit=1)
    asked = AwaitingRetry(message=MESSAGE, scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    runs = [
        prefect.create_flow_run_from_deployment(deployment, parameters={"notes": ""}, state=asked).id for _ in range(2)
    ]

    for each in runs:
        prefect.set_flow_run_state(each, Pending())
    waiting = prefect.read_flow_run(runs[1]).state
    for each in runs:
        prefect.set_flow_run_state(each, Cancelled(), force=True)

    assert waiting
    assert (waiting.type, waiting.message) == (StateType.SCHEDULED, None), (
        "A run that waits for its turn is in another state than before: a retry by the automation could pass for a "
        "person's, and let a cancelled run go on. See _put_back in tasks/runs/attempts.py."
    )
