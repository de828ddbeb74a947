"""The stop: while it is set, no run of this Prefect server starts anything, in any organisation.

It is the Prefect Variable ``lead_cleanup_stop``, whose value is the reason. ``lead-cleanup stop WHY`` sets it and
``lead-cleanup go`` deletes it; the Prefect UI can do both, under Variables.
"""

from contextlib import suppress

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tasks.runs.connect import plain, prefect
from tasks.runs.outcomes import Refused
from tasks.runs.wording import MINUTE, shortened, with_full_stop

NAME = "lead_cleanup_stop"
STOPPED = "Cleanups are stopped:"
"""Begins the message of every run that the stop refuses."""
LONGEST = 4000
"""Bytes of a reason; Prefect keeps 5,000 in a Variable."""


def sentence() -> str | None:
    """Why and since when cleanups are stopped; None if they aren't.

    Raises `PrefectUnavailable`: without an answer, nothing may start.
    """
    with prefect() as server:
        variable = server.read_variable_by_name(NAME)
    if variable is None:
        return None
    why = with_full_stop(str(variable.value) or "no reason given")
    since = f" Since {plain(variable.updated):{MINUTE}}." if variable.updated else ""
    return f"{STOPPED} {why}{since} `lead-cleanup go` lets them run again."


def check() -> None:
    """Raise `Refused` while the stop is set."""
    if stopped := sentence():
        raise Refused(stopped)


def put(why: str) -> str:
    """Stop cleanups, for the reason *why*, which replaces an earlier one. Returns it as it is kept: see `shortened`.

    It is cut rather than refused: a stop is urgent.
    """
    why = shortened(why, LONGEST)
    with prefect() as server:
        try:
            server.create_variable(VariableCreate(name=NAME, value=why))
        except ObjectAlreadyExists:
            server.update_variable(VariableUpdate(name=NAME, value=why))
    return why


def lift() -> bool:
    """Let cleanups run again. False if they weren't stopped."""
    with prefect() as server, suppress(ObjectNotFound):
        server.delete_variable_by_name(NAME)
        return True
    return False
