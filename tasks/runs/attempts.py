"""Who retried a run, a person or an automation: read from the history of its states."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise, takewhile
from typing import Any

from prefect.client.schemas.objects import State, StateType

from tasks.runs.connect import plain, prefect
from tasks.runs.run import Run

BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""The message of the state into which deployments/automations.yaml puts a crashed run, kept the same by a test. By
it an attempt knows that no person has retried the run."""


def states_of(run: Run) -> list[State[Any]]:
    """The states that *run* has had, in any order."""
    with prefect() as server:
        return server.read_flow_run_states(run.id)


def retried_by_person(run: Run) -> bool:
    """Whether this attempt of *run* is a person's retry."""
    return run.attempt > 1 and not tries_by_automation(states_of(run))


def tries_by_automation(states: Iterable[State[Any]]) -> int:
    """How many of the latest retries of the run with these *states*, in a row, were an automation's."""
    return len(_by_automation(states))


def last_asked(states: Iterable[State[Any]]) -> datetime | None:
    """When a person last resumed or retried the run with these *states*, as by an approval; None if nobody has."""
    return next((plain(new.timestamp) for _, new in _restarts(states) if new.message != BY_AUTOMATION), None)


def ended_before(states: Iterable[State[Any]]) -> State[Any] | None:
    """How the run with these *states* had ended, if an automation has retried it although it hadn't crashed.

    Prefect may run an automation's action twice, or too late, and it restarts completed and cancelled runs as readily
    as crashed ones.
    """
    return next((old for old in _by_automation(states) if old.is_final() and not old.is_crashed()), None)


def _by_automation(states: Iterable[State[Any]]) -> list[State[Any]]:
    """The states before each restart by an automation since a person's last one, newest first."""
    return [old for old, _ in takewhile(lambda each: each[1].message == BY_AUTOMATION, _restarts(states))]


def _restarts(states: Iterable[State[Any]]) -> list[tuple[State[Any], State[Any]]]:
    """The states before and after each retry or resume of the run, newest first.

    A run that waits for a concurrency slot is scheduled again by Prefect itself: that isn't a restart.
    """
    waiting = {StateType.SCHEDULED, StateType.PENDING}
    history = sorted(states, key=lambda state: state.timestamp, reverse=True)
    return [(old, new) for new, old in pairwise(history) if new.type == StateType.SCHEDULED and old.type not in waiting]
