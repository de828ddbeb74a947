"""Two decorators that make a function a Prefect task, and name how safe a retry of it is.

Neither persists results: a count must never come from a cache, and Prefect ignores a result that it can't write.
"""

from prefect import task
from prefect.cache_policies import NO_CACHE

once = task(retries=0, cache_policy=NO_CACHE, persist_result=False)
"""Starts or creates something, so Prefect never retries it: a second POST would start a second bulk delete."""

reads = task(retries=0, cache_policy=NO_CACHE, persist_result=False)
"""A retry is safe: it reads, and at most records what it saw. The client retries while Close is unavailable."""
