"""Who has a run tried again: a person, or the automation that does it to runs that have crashed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.states import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    Suspended,
)

from tasks.bulk_delete.attempt import check_crashed, lateness
from tasks.ledger.record import Record
from tasks.plan.model import Counts
from tasks.runs.attempts import (
    BY_AUTOMATION,
    BY_EXPIRY,
    ended_before,
    interruptions,
    last_asked,
    left_suspended,
    retries_by_automation,
)
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.run import Run

BEGAN: list[State[Any]] = [Scheduled(), Pending(), Running()]
AUTOMATICALLY: list[State[Any]] = [Crashed(), AwaitingRetry(message=BY_AUTOMATION), Pending(), Running()]
BY_A_PERSON: list[State[Any]] = [Crashed(), AwaitingRetry(message="Retry from the UI"), Pending(), Running()]


@pytest.fixture
def record() -> Record:
    """A claim."""
    return Record(
        run_id=uuid4(),
        cleanup="junk",
        organization_id="orga_1",
        organization="Acme",
        user_id="user_1",
        as_of=datetime.now(UTC),
        digest="",
        counts=Counts(total=3, matched=1, kept={"total": 0}, planned=1),
    )


def history(*states: State[Any]) -> list[State[Any]]:
    """These states, a minute apart."""
    first = datetime.now(UTC)
    return [
        state.model_copy(update={"timestamp": first + timedelta(minutes=minute)}) for minute, state in enumerate(states)
    ]


def test_a_run_that_nobody_has_tried_again():
    assert retries_by_automation(history(*BEGAN)) == 0


def test_each_time_in_a_row_counts():
    assert retries_by_automation(history(*BEGAN, *AUTOMATICALLY)) == 1
    assert retries_by_automation(history(*BEGAN, *AUTOMATICALLY, *AUTOMATICALLY)) == 2


def test_a_person_begins_the_count_anew():
    assert retries_by_automation(history(*BEGAN, *AUTOMATICALLY, *BY_A_PERSON)) == 0
    assert retries_by_automation(history(*BEGAN, *AUTOMATICALLY, *BY_A_PERSON, *AUTOMATICALLY)) == 1


def test_an_approval_is_a_person_too():
    resuming = Scheduled(name="Resuming")

    assert retries_by_automation(history(*BEGAN, *AUTOMATICALLY, Suspended(), resuming, Pending(), Running())) == 0


def test_waiting_for_a_turn_is_nobodys_asking():
    """A run that is tried again may meet another one of its deployment, and then is scheduled again by Prefect."""
    crashed, asked, *began = AUTOMATICALLY
    waits = AwaitingConcurrencySlot()

    assert retries_by_automation(history(*BEGAN, crashed, asked, waits, waits, *began)) == 1
    assert retries_by_automation(history(*BEGAN, crashed, asked, Pending(), waits, *began)) == 1


def test_a_run_that_crashes_before_it_begins_counts_too():
    crashed, asked, pending, _ = AUTOMATICALLY

    assert retries_by_automation(history(*BEGAN, crashed, asked, pending, crashed, asked, pending)) == 2


def test_the_order_is_that_of_time():
    assert retries_by_automation(reversed(history(*BEGAN, *BY_A_PERSON, *AUTOMATICALLY))) == 1


ENDS: list[State[Any]] = [
    Completed(name="DryRun", message="241 of 1,000 leads would be deleted."),
    Failed(name="Refused", message="Too many."),
    Cancelled(message="Cancelled before anything was started."),
]


def ended_and_tried_again(end: State[Any], by: str = BY_AUTOMATION) -> list[State[Any]]:
    return history(*BEGAN, end, AwaitingRetry(message=by), Pending(), Running())


@pytest.mark.parametrize("end", ENDS, ids=lambda end: str(end.name))
def test_the_automation_tries_again_only_what_has_crashed(end: State[Any]):
    """Prefect would let it: an action that is carried out twice, or late, puts back a run that has ended."""
    with pytest.raises(Stop) as raised:
        check_crashed(ended_before(ended_and_tried_again(end)), record=None)

    assert (raised.value.outcome.state_name, raised.value.message) == (end.name, end.message)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: str(end.name))
def test_a_person_tries_again_whatever_has_ended(end: State[Any]):
    check_crashed(ended_before(ended_and_tried_again(end, by="Retry from the UI")), record=None)


def test_an_end_stays_an_end_when_the_needless_attempt_crashes():
    refused = ended_and_tried_again(ENDS[1])

    with pytest.raises(Stop, match="Too many"):
        check_crashed(ended_before(history(*refused, *AUTOMATICALLY)), record=None)


def test_a_crash_is_no_end():
    check_crashed(ended_before(history(*BEGAN)), record=None)
    check_crashed(ended_before(history(*BEGAN, *AUTOMATICALLY)), record=None)


def test_what_was_started_is_waited_for_unless_it_was_cancelled(record: Record):
    completed, _, cancelled = (ended_before(ended_and_tried_again(end)) for end in ENDS)

    check_crashed(completed, record)
    with pytest.raises(Stop) as raised:
        check_crashed(cancelled, record)

    assert raised.value.outcome is Outcome.CANCELLED


def test_a_run_that_the_automation_tries_again_days_later_is_late():
    """It had started in time; but so that no burst follows an outage, what counts then is the hour that it is."""
    due = datetime.now(UTC) - timedelta(days=2)
    run = Run(id=uuid4(), as_of=due, cleanup="junk")

    assert lateness(run, 0, datetime.now(UTC)) == timedelta()
    assert lateness(run, 1, due + timedelta(days=2)) == timedelta(days=2)


def test_a_run_that_crashes_after_its_approval_is_as_late_as_the_approval_is_old():
    """The plan may have waited for days; whoever approved it did so just now."""
    due = datetime.now(UTC) - timedelta(days=2)
    run = Run(id=uuid4(), as_of=due, cleanup="junk")
    states = history(*BEGAN, Suspended(), Scheduled(name="Resuming"), Pending(), Running(), *AUTOMATICALLY)

    approved = last_asked(states)

    assert type(approved) is datetime
    assert approved == states[4].timestamp
    assert lateness(run, 1, approved + timedelta(minutes=4), approved) == timedelta(minutes=4)


def test_what_nobody_has_asked_for_again_is_late_since_it_was_due():
    assert last_asked(history(*BEGAN, *AUTOMATICALLY)) is None


BY_PERSON = Suspended()
ASKS = Suspended(pause_key="2-digest-nonce")
ASKS.state_details.run_input_keyset = {"response": "suspended-2-digest-nonce-response"}
RESUMED: list[State[Any]] = [Scheduled(name="Resuming"), Pending(), Running()]
SILENT: list[State[Any]] = [Paused(name="Silent"), *AUTOMATICALLY]


def test_what_a_person_has_suspended_stays_so_whatever_automations_do():
    expired = [Scheduled(name="Expiring", message=BY_EXPIRY), Pending(), Running()]

    assert left_suspended(history(*BEGAN, BY_PERSON, *AUTOMATICALLY))
    assert left_suspended(history(*BEGAN, BY_PERSON, *SILENT, *AUTOMATICALLY))
    assert left_suspended(history(*BEGAN, *AUTOMATICALLY, BY_PERSON, *AUTOMATICALLY))
    assert left_suspended(history(*BEGAN, BY_PERSON, *expired))


def test_what_a_person_has_resumed_or_retried_is_suspended_no_more():
    assert not left_suspended(history(*BEGAN))
    assert not left_suspended(history(*BEGAN, BY_PERSON, *RESUMED))
    assert not left_suspended(history(*BEGAN, BY_PERSON, Failed(), *BY_A_PERSON))
    assert not left_suspended(history(*BEGAN, BY_PERSON, *RESUMED, *SILENT))


def test_a_run_that_waits_for_an_approval_is_not_suspended_by_a_person():
    assert not left_suspended(history(*BEGAN, ASKS, *AUTOMATICALLY))
    assert interruptions(history(*BEGAN, ASKS, *RESUMED)) == []


def test_what_people_did_to_a_run_is_told_by_its_later_attempts():
    states = history(*BEGAN, Cancelled(), *BY_A_PERSON[1:], BY_PERSON, *RESUMED, *AUTOMATICALLY)
    minutes = [f"{states[place].timestamp:%Y-%m-%d %H:%M UTC}" for place in (3, 7)]

    assert interruptions(states) == [
        f"Cancelled at {minutes[0]}, and resumed later.",
        f"Suspended at {minutes[1]}, and resumed later.",
    ]
