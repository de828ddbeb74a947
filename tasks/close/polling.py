"""When to poll Close next about a bulk delete or an export."""

SOONEST, AT_FIRST, LATEST = 0.2, 0.5, 30.0
"""Seconds."""
LATE = 0.1
"""By how much of its time a wait may be late."""


def next_poll(waited: float) -> float:
    """Return the seconds until the next poll, once a wait has taken *waited* seconds.

    Jobs speed up, slow down and pause in between, so their rate says little about their end. A tenth of the time so far
    is never late by more than that, and takes few polls: 66 for ten minutes. The first come after 0.2, 0.4 and 0.8 s,
    since many jobs are done at once.
    """
    at_first = min(max(waited, SOONEST), AT_FIRST)
    return min(max(LATE * waited, at_first), LATEST)
