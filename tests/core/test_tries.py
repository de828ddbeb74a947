"""Who has a run tried again: a person, or the automation that does it to runs that have crashed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Crashed,
    Pending,
    Running,
    Scheduled,
    Suspended,
)

from tasks.run import BY_AUTOMATION, tries_by_automation

BEGAN: list[State[Any]] = [Scheduled(), Pending(), Running()]
AUTOMATICALLY: list[State[Any]] = [Crashed(), AwaitingRetry(message=BY_AUTOMATION), Pending(), Running()]
BY_A_PERSON: list[State[Any]] = [Crashed(), AwaitingRetry(message="Retry from the UI"), Pending(), Running()]


def history(*states: State[Any]) -> list[State[Any]]:
    """These states, a minute apart."""
    first = datetime.now(UTC)
    return [
        state.model_copy(update={"timestamp": first + timedelta(minutes=minute)}) for minute, state in enumerate(states)
    ]


def test_a_run_that_nobody_has_tried_again():
    assert tries_by_automation(history(*BEGAN)) == 0


def test_each_time_in_a_row_counts():
    assert tries_by_automation(history(*BEGAN, *AUTOMATICALLY)) == 1
    assert tries_by_automation(history(*BEGAN, *AUTOMATICALLY, *AUTOMATICALLY)) == 2


def test_a_person_begins_the_count_anew():
    assert tries_by_automation(history(*BEGAN, *AUTOMATICALLY, *BY_A_PERSON)) == 0
    assert tries_by_automation(history(*BEGAN, *AUTOMATICALLY, *BY_A_PERSON, *AUTOMATICALLY)) == 1


def test_an_approval_is_a_person_too():
    resuming = Scheduled(name="Resuming")

    assert tries_by_automation(history(*BEGAN, *AUTOMATICALLY, Suspended(), resuming, Pending(), Running())) == 0


def test_waiting_for_a_turn_is_nobodys_asking():
    """A run that is tried again may meet another one of its deployment, and then is scheduled again by Prefect."""
    crashed, asked, *began = AUTOMATICALLY
    waits = AwaitingConcurrencySlot()

    assert tries_by_automation(history(*BEGAN, crashed, asked, waits, waits, *began)) == 1
    assert tries_by_automation(history(*BEGAN, crashed, asked, Pending(), waits, *began)) == 1


def test_a_run_that_crashes_before_it_begins_counts_too():
    crashed, asked, pending, _ = AUTOMATICALLY

    assert tries_by_automation(history(*BEGAN, crashed, asked, pending, crashed, asked, pending)) == 2


def test_the_order_is_that_of_time():
    assert tries_by_automation(reversed(history(*BEGAN, *BY_A_PERSON, *AUTOMATICALLY))) == 1
