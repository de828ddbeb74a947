"""Somebody else's flow on the same server."""

import time

from prefect import flow


@flow(persist_result=False)
def somebody_elses(seconds: int = 600) -> None:
    """Sleeps for longer than anybody waits here."""
    time.sleep(seconds)
