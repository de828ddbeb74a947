"""Two decorators that make a function a Prefect task, and say how safe a retry of it is.

Neither keeps results: a count that is read from a cache is no count, and Prefect swallows a result that it can't write.
"""

from prefect import task
from prefect.cache_policies import NO_CACHE

once = task(retries=0, cache_policy=NO_CACHE, persist_result=False)
"""Starts or makes something, so Prefect never retries it: a second POST would start a second bulk delete."""

reads = task(retries=0, cache_policy=NO_CACHE, persist_result=False)
"""Only reads, so a retry does no harm. The Close client itself is patient while Close is away."""
