"""What a run is compared with: a flow that does nothing, in as many tasks."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def nothing() -> None:
    """A task that does nothing."""


@flow(name="empty", retries=0, persist_result=False)
def empty(tasks: int) -> None:
    """A flow that does nothing but call *tasks* tasks."""
    for _ in range(tasks):
        nothing()
