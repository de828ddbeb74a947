"""Who retried a run, a person or an automation: read from the history of its states."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise, takewhile
from typing import Any

from prefect.client.schemas.objects import State, StateType

from tasks.runs.connect import plain, prefect
from tasks.runs.own_state import is_suspended
from tasks.runs.run import Run
from tasks.runs.wording import MINUTE

BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""The message of the state into which deployments/automations.yaml puts a crashed run, kept the same by a test. By
it an attempt knows that no person has retried the run."""
BY_EXPIRY = "Nobody has approved this run in time."
"""The message of the state into which another automation there puts a run that waits for an approval."""


def states_of(run: Run) -> list[State[Any]]:
    """The states that *run* has had, in any order."""
    with prefect() as server:
        return server.read_flow_run_states(run.id)


def continued_by_person(run: Run) -> bool:
    """Whether a person has asked for this attempt of *run*, by a retry, or by *Resume* after a suspension.

    Prefect counts no new attempt when a run is resumed.
    """
    states = states_of(run)
    resumed = any(is_suspended(old) for old, _ in _restarts(states))
    return (run.attempt > 1 or resumed) and not retries_by_automation(states)


def left_suspended(states: Iterable[State[Any]]) -> bool:
    """Whether a person has suspended the run with these *states*, and only automations have restarted it since."""
    since = takewhile(lambda each: not _asked_by_person(*each), _changes(states))
    return any(is_suspended(old) for old, _ in since)


def interruptions(states: Iterable[State[Any]]) -> list[str]:
    """How people interrupted earlier attempts of the run with these *states*, a sentence each, oldest first."""
    left = [old for old, new in _changes(states) if _asked_by_person(old, new)]
    return [
        f"{'Cancelled' if each.is_cancelled() else 'Suspended'} at {plain(each.timestamp):{MINUTE}}, and resumed later."
        for each in reversed(left)
        if each.is_cancelled() or is_suspended(each)
    ]


def retries_by_automation(states: Iterable[State[Any]]) -> int:
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
    """The states before and after each retry or resume of the run, newest first."""
    return [each for each in _changes(states) if _is_restart(*each)]


def _changes(states: Iterable[State[Any]]) -> list[tuple[State[Any], State[Any]]]:
    """The states before and after each change of the run's state, newest first."""
    history = sorted(states, key=lambda state: state.timestamp, reverse=True)
    return [(old, new) for new, old in pairwise(history)]


def _is_restart(old: State[Any], new: State[Any]) -> bool:
    """Whether it is a restart: Prefect itself also reschedules a run that waits for a concurrency slot."""
    return new.type == StateType.SCHEDULED and old.type not in {StateType.SCHEDULED, StateType.PENDING}


def _asked_by_person(old: State[Any], new: State[Any]) -> bool:
    return _is_restart(old, new) and new.message not in {BY_AUTOMATION, BY_EXPIRY}
