"""Noticing, while a process works, that a person has suspended or cancelled its run.

Prefect terminates the process of a deployment's run that is cancelled while it is running. Otherwise it sends no
signal, and looks only between tasks. So every loop that may take long looks itself, however seldom it asks Close.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext, TaskRunContext

from tasks.runs.alive import Superseded
from tasks.runs.connect import PrefectUnavailable, prefect
from tasks.runs.outcomes import Outcome, Stop

LOOK_SECONDS = 2.0
AWAY_SECONDS = 30.0
"""How long to wait before the next look when Prefect could not be asked, which itself took long."""

T = TypeVar("T")


class Suspended(Stop):
    """Ends the attempt: a person has just suspended the run."""

    def __init__(self) -> None:
        super().__init__(Outcome.SUSPENDED, "A person has suspended this run.")
        self.args = ()  # unpickling calls the class with these


def is_suspended(state: State[Any]) -> bool:
    """Whether *state* is a suspension by a person: a run that waits for an approval has a form to fill in."""
    return state.type == StateType.PAUSED and state.name == "Suspended" and state.state_details.run_input_keyset is None


def current_state(run_id: UUID) -> State[Any] | None:
    """The state of the run at this moment. Raises `PrefectUnavailable`."""
    with prefect() as server:
        return server.read_flow_run(run_id).state


def is_suspended_now(run_id: UUID) -> bool:
    """Whether the run is suspended by a person at this moment, as far as Prefect can be asked."""
    try:
        state = current_state(run_id)
    except PrefectUnavailable:
        return False
    return state is not None and is_suspended(state)


class OwnState:
    """Looks at the state of this process's run, every two seconds while it sleeps or works; outside a run, never.

    Raises `Suspended`, `Stop` if the run is cancelled, and `Superseded` if a later attempt has taken over, as when
    somebody has retried the run before this one noticed. A Prefect server that can't be asked changes nothing.
    """

    def __init__(self) -> None:
        self._run_id = own_run()
        context = FlowRunContext.get()
        self.attempt = context.flow_run.run_count if context and context.flow_run else 1
        self._due = time.monotonic() + LOOK_SECONDS

    def sleep(self, sleep: Callable[[float], None], seconds: float) -> None:
        """Sleep for so many *seconds*, by calling *sleep*, and look meanwhile."""
        while self._run_id and seconds > LOOK_SECONDS:
            sleep(LOOK_SECONDS)
            seconds -= LOOK_SECONDS
            self.look()
        sleep(seconds)
        self.look()

    def during(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the *items*, looking before each."""
        for item in items:
            self.look()
            yield item

    def look(self) -> None:
        """Look, if it is time for the next look."""
        if self._run_id is None or time.monotonic() < self._due:
            return
        try:
            with prefect() as server:
                found = server.read_flow_run(self._run_id)
        except PrefectUnavailable:
            self._due = time.monotonic() + AWAY_SECONDS
            return
        self._due = time.monotonic() + LOOK_SECONDS
        if found.run_count > self.attempt:
            raise Superseded.by(found)
        if found.state and is_suspended(found.state):
            raise Suspended
        if found.state and (found.state.is_cancelled() or (found.state.is_cancelling() and not found.deployment_id)):
            raise Stop(Outcome.CANCELLED, "A person has cancelled this run.")


def own_run() -> UUID | None:
    """The run that this process works on; None outside of runs."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task:
        return task.task_run.flow_run_id
    return flow.flow_run.id if flow and flow.flow_run else None
