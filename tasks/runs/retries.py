"""Two decorators that make a function a Prefect task, and name how safe a retry of it is.

Neither persists results: a count must never come from a cache, and Prefect ignores a result that it can't write.
"""

import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.utilities.annotations import quote
from pydantic import ValidationError

from tasks.close.errors import CloseError
from tasks.close.settings import CloseSettings

P = ParamSpec("P")
R = TypeVar("R")
JITTER = 0.3  # of each delay, so that runs that failed together don't return together


class _Step(Task[P, R]):
    """A task that the Prefect UI shows in words: ``start_bulk_delete`` as *Start bulk delete*.

    Its arguments are quoted. Prefect would look through all of them for what earlier tasks returned, and draw an arrow
    in the run's graph for each: three and more to every step, where each simply follows the one before.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        words = function.__name__.replace("_", " ").capitalize()
        super().__init__(
            function, name=words, task_run_name=words, retries=0, cache_policy=NO_CACHE, persist_result=False
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run the task."""
        return self._as_retried()(*map(quote, args), **{name: quote(value) for name, value in kwargs.items()})

    def _as_retried(self) -> Any:
        """The task as Prefect is to retry it."""
        return super().__call__


def once(function: Callable[P, R]) -> Task[P, R]:
    """Starts or creates something, so Prefect never retries it: a second POST would start a second bulk delete."""
    return _Step(function)


def reads(function: Callable[P, R]) -> Task[P, R]:
    """A retry is safe: it reads, and at most records what it saw.

    So it outlives an outage of Close that is longer than the client's patience: Prefect retries it after the delays of
    CLOSE_RETRY_DELAYS, and shows it as AwaitingRetry meanwhile. Where somebody waits at a terminal it fails at once.
    """
    return _Reads(function)


class _Reads(_Step[P, R]):
    """A task whose retries are set when it is called: at import there are no settings yet."""

    def _as_retried(self) -> Any:
        delays = [] if somebody_waits() else _delays()
        return self.with_options(
            retries=len(delays),
            retry_delay_seconds=delays,
            retry_jitter_factor=JITTER,
            retry_condition_fn=_close_is_away,
        )


def somebody_waits() -> bool:
    """Whether the current run is a person's at a terminal, and no deployment's: that person can retry it."""
    context = FlowRunContext.get()
    deployed = context and context.flow_run and context.flow_run.deployment_id
    return not deployed and any(map(os.isatty, (0, 2)))


def _delays() -> list[float]:
    try:
        return list(CloseSettings().retry_delays)
    except ValidationError:  # the task says so, if it needs them
        return []


def _close_is_away(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Whether the task that ended in *state* may succeed later. Never for a `Stop`, or for what Close has refused."""
    return isinstance(state.data, CloseError) and state.data.transient
