"""Two decorators that make a function a Prefect task, and name how safe a retry of it is.

Neither persists results: a count must never come from a cache, and Prefect ignores a result that it can't write.
"""

import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from pydantic import ValidationError

from tasks.close.errors import CloseError
from tasks.close.settings import CloseSettings

P = ParamSpec("P")
R = TypeVar("R")
JITTER = 0.3  # of each delay, so that runs that failed together don't return together

once = task(retries=0, cache_policy=NO_CACHE, persist_result=False)
"""Starts or creates something, so Prefect never retries it: a second POST would start a second bulk delete."""


def reads(function: Callable[P, R]) -> Task[P, R]:
    """A retry is safe: it reads, and at most records what it saw.

    So it outlives an outage of Close that is longer than the client's patience: Prefect retries it after the delays of
    CLOSE_RETRY_DELAYS, and shows it as AwaitingRetry meanwhile. Where somebody waits at a terminal it fails at once.
    """
    return _Reads(function, retries=0, cache_policy=NO_CACHE, persist_result=False)


class _Reads(Task[P, R]):
    """A task whose retries are set when it is called: at import there are no settings yet."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run the task, with its retries."""
        delays = [] if somebody_waits() else _delays()
        retried: Any = self.with_options(
            retries=len(delays),
            retry_delay_seconds=delays,
            retry_jitter_factor=JITTER,
            retry_condition_fn=_close_is_away,
        )
        return retried(*args, **kwargs)


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
