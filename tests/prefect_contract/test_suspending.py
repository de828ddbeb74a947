"""What an approval rests on: a run that is suspended, what is stored of the answer, and what ends the waiting.

Each test says in its assertion what of ours would break. The runs here have no process: tests put them into their
states through the API, as `suspend_flow_run` does, and answer as the Prefect UI does.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import contract_flows
import pytest
from contract_runs import Deploy, wait_for
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Pause, PrefectHTTPStatusError
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_paused_state
from prefect.states import Cancelling, Pending, Running, Scheduled, Suspended

pytestmark = [
    pytest.mark.server,
    pytest.mark.exhaustive,
    pytest.mark.xdist_group("prefect_contract"),
    pytest.mark.usefixtures("here"),
]

KEY = "2-digest-nonce"
RESPONSE = f"suspended-{KEY}-response"
LONG = 600  # seconds; nobody waits so long
Suspend = Callable[..., UUID]


class Answer(RunInput):
    """A form as ours is."""

    leads: int


@pytest.fixture
def suspend(prefect: SyncPrefectClient, deploy: Deploy) -> Suspend:
    """A run that has suspended itself, for so many seconds, and asks for an `Answer`."""
    deployment = deploy(contract_flows.prompt, "suspended")

    def suspended(timeout: int = LONG) -> UUID:
        run = prefect.create_flow_run_from_deployment(deployment, parameters={"notes": ""}, state=Pending())
        asks = Suspended(timeout_seconds=timeout, pause_key=KEY)
        asks.state_details.run_input_keyset = {**keyset_from_paused_state(asks)}
        for state in (Running(), asks):
            prefect.set_flow_run_state(run.id, state)
        Answer.save(keyset_from_paused_state(asks), run.id)
        return run.id

    return suspended


def state_of(prefect: SyncPrefectClient, run_id: UUID) -> State[Any]:
    state = prefect.read_flow_run(run_id).state
    assert state
    return state


def responses(prefect: SyncPrefectClient, run_id: UUID) -> list[str]:
    found = prefect.filter_flow_run_input(run_id, key_prefix=RESPONSE, limit=1, exclude_keys=set())
    return [each.value for each in found]


def test_the_answer_is_stored_under_the_key_that_stands_in_the_history_of_the_run(
    prefect: SyncPrefectClient, suspend: Suspend
) -> None:
    """Rests on it: an attempt knows what was asked last, and what was answered, though its process is a new one."""
    run_id = suspend()

    prefect.resume_flow_run(run_id, run_input={"leads": 2})

    states = prefect.read_flow_run_states(run_id)
    assert [each.state_details.pause_key for each in states if each.type == StateType.PAUSED] == [KEY], (
        "The key of a suspended state is lost from the run's history: an attempt doesn't know what was approved."
    )
    assert responses(prefect, run_id) == ['{"leads":2}'], (
        "The answer isn't kept under the suspended state's key: whatever is approved, the run asks again."
    )
    resuming = state_of(prefect, run_id)
    assert (resuming.type, resuming.message) == (StateType.SCHEDULED, None), (
        "An answered run isn't scheduled, or with a message: see _put_back in tasks/runs/attempts.py."
    )


@pytest.mark.parametrize("given", [None, {}, {"leads": "many"}, {"leads": 2, "more": 1}])
def test_a_form_that_is_not_filled_in_lets_nothing_go_on(
    prefect: SyncPrefectClient, suspend: Suspend, given: dict[str, Any] | None
) -> None:
    """Rests on it: what is no number declines nothing, and approves nothing."""
    run_id = suspend()

    prefect.resume_flow_run(run_id, run_input=given)

    assert state_of(prefect, run_id).type == StateType.PAUSED, "A run goes on without the answer that it asks for."
    assert responses(prefect, run_id) == [], "An answer that doesn't fit the form is stored."


def test_a_request_whose_answer_is_there_already_can_not_be_approved(
    prefect: SyncPrefectClient, suspend: Suspend
) -> None:
    """Rests on it: a newer plan withdraws a request by answering it; who approves it after that gets an error."""
    run_id = suspend()

    prefect.create_flow_run_input(run_id, RESPONSE, '{"leads":0}')
    with pytest.raises(PrefectHTTPStatusError):
        prefect.resume_flow_run(run_id, run_input={"leads": 2})

    assert state_of(prefect, run_id).type == StateType.PAUSED, (
        "A run is resumed although its answer could not be stored: an approval would be lost, see _withdraw in ask.py."
    )
    assert responses(prefect, run_id) == ['{"leads":0}'], "A request has two answers, or the second replaces the first."


def test_an_approved_request_can_not_be_answered_again(prefect: SyncPrefectClient, suspend: Suspend) -> None:
    """Rests on it: a run that was approved first is not withdrawn."""
    run_id = suspend()
    prefect.resume_flow_run(run_id, run_input={"leads": 2})

    with pytest.raises(PrefectHTTPStatusError) as caught:
        prefect.create_flow_run_input(run_id, RESPONSE, '{"leads":0}')

    assert caught.value.response.status_code == 409, "_withdraw in ask.py knows an answered request by this status."
    assert responses(prefect, run_id) == ['{"leads":2}'], "The answer of a person was replaced."


def test_an_answer_that_comes_too_late_counts_for_nothing(prefect: SyncPrefectClient, suspend: Suspend) -> None:
    """Rests on it: nothing is deleted by an approval that was forgotten and found again."""
    run_id = suspend(timeout=0)

    prefect.resume_flow_run(run_id, run_input={"leads": 2})

    wait_for(
        "A run whose time to wait is over isn't called failed: it waits for ever",
        lambda: state_of(prefect, run_id).type == StateType.FAILED,
    )
    assert responses(prefect, run_id) == [], "An answer that comes too late is stored: the run could go on with it."


def test_a_run_that_waits_can_be_put_back_without_an_answer_as_the_same_attempt(
    prefect: SyncPrefectClient, suspend: Suspend
) -> None:
    """Rests on it: the automation has a run say itself that its request has expired."""
    run_id = suspend()

    prefect.set_flow_run_state(run_id, Scheduled(message="Too late."))
    put_back = state_of(prefect, run_id)
    prefect.set_flow_run_state(run_id, Pending())
    prefect.set_flow_run_state(run_id, Running())

    assert (put_back.type, put_back.message) == (StateType.SCHEDULED, "Too late."), (
        "A suspended run can't be put back, or not with a message: a request that expires leaves no report."
    )
    assert prefect.read_flow_run(run_id).run_count == 1, "Being put back counts as an attempt now."


def test_a_run_that_waits_is_cancelled_at_once(prefect: SyncPrefectClient, suspend: Suspend) -> None:
    """Rests on it: nobody has to end a process that isn't there, and an answer after that leads nowhere."""
    run_id = suspend()

    prefect.set_flow_run_state(run_id, Cancelling())
    prefect.resume_flow_run(run_id, run_input={"leads": 2})

    assert state_of(prefect, run_id).type == StateType.CANCELLED, (
        "A run that waits can't be cancelled, or goes on afterwards: an approval overrules a cancellation."
    )


def test_a_run_without_a_deployment_cannot_be_suspended() -> None:
    """Rests on it: tasks/approval/ask.py asks whoever has started such a run, since there is no form to wait for."""

    @flow(persist_result=False)
    def asks() -> None:
        suspend_flow_run(Answer, timeout=LONG, key=KEY)

    with pytest.raises(RuntimeError, match="without a deployment"):
        asks()


def test_a_flow_that_suspends_itself_is_left_by_no_ordinary_exception() -> None:
    """Rests on it: `Ending` and whatever handles errors let it through, and no report says that the run has failed."""
    assert not issubclass(Pause, Exception), (
        "Suspending raises an ordinary exception now: where errors are caught, a run that waits would go on."
    )


def test_the_answer_bears_the_time_at_which_it_was_given(prefect: SyncPrefectClient, suspend: Suspend) -> None:
    """Rests on it: the report says when somebody approved."""
    run_id = suspend()
    before = datetime.now(UTC)

    prefect.resume_flow_run(run_id, run_input={"leads": 2})

    [found] = prefect.filter_flow_run_input(run_id, key_prefix=RESPONSE, limit=1, exclude_keys=set())
    assert found.created, "An answer bears no time: the report would say when it was read instead."
    assert before <= found.created <= datetime.now(UTC), "An answer bears another time than that at which it was given."
