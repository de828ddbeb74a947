"""Which attempt of its run this is, and who asked for it: read from the history of its states."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise, takewhile
from typing import Any

from prefect.client.schemas.objects import State, StateType

from tasks.runs.connect import plain, prefect
from tasks.runs.run import Run

BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""The message of the state into which deployments/automations.yaml puts a crashed run; a test holds the two together.
By it an attempt knows that no person has asked for it."""


def states_of(run: Run) -> list[State[Any]]:
    """The states that *run* has had, in no order."""
    with prefect() as server:
        return server.read_flow_run_states(run.id)


def retried_by_person(run: Run) -> bool:
    """Whether this attempt of *run* is one that a person has asked for, after an earlier one."""
    return run.attempt > 1 and not tries_by_automation(states_of(run))


def tries_by_automation(states: Iterable[State[Any]]) -> int:
    """How often in a row, up to the last time, it was an automation that had the run of these *states* tried again."""
    return len(_by_automation(states))


def last_asked(states: Iterable[State[Any]]) -> datetime | None:
    """When a person last let the run of these *states* go on, as by an approval; None if nobody has."""
    asked = (plain(state.timestamp) for _, state in _put_back(states) if state.message != BY_AUTOMATION)
    return next(asked, None)


def ended_before(states: Iterable[State[Any]]) -> State[Any] | None:
    """How the run of these *states* had ended, if an automation had it tried again though it hadn't crashed.

    Prefect may carry out an action more than once, or when its reason is gone; and it lets go on what has completed, or
    was cancelled, as well as what has crashed.
    """
    return next((stood for stood in _by_automation(states) if stood.is_final() and not stood.is_crashed()), None)


def _by_automation(states: Iterable[State[Any]]) -> list[State[Any]]:
    """How the run stood each time that an automation let it go on, newest first, since a person last did."""
    return [stood for stood, _ in takewhile(lambda each: each[1].message == BY_AUTOMATION, _put_back(states))]


def _put_back(states: Iterable[State[Any]]) -> list[tuple[State[Any], State[Any]]]:
    """Each time that somebody let the run go on, newest first: how it stood, and the state that it was put into.

    Prefect itself makes a run that waits for its turn scheduled once more, and gives no message: nobody has asked.
    """
    waiting = {StateType.SCHEDULED, StateType.PENDING}
    history = sorted(states, key=lambda state: state.timestamp, reverse=True)
    return [(old, new) for new, old in pairwise(history) if new.type == StateType.SCHEDULED and old.type not in waiting]
