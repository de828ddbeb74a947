"""The stop: while it is set, no run starts anything, in any organisation of this Prefect server.

It is the Prefect Variable ``lead_cleanup_stop``, whose text is the reason. ``lead-cleanup stop WHY`` sets it and
``lead-cleanup go`` lifts it; so does anybody in the Prefect UI, under Variables.
"""

from contextlib import suppress

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tasks.runs.connect import prefect
from tasks.runs.outcomes import Refused

NAME = "lead_cleanup_stop"


def reason() -> str | None:
    """Why cleanups are stopped, or None if they aren't. Raises `PrefectAway`: a stop that can't be read is a stop."""
    with prefect() as server:
        variable = server.read_variable_by_name(NAME)
    return None if variable is None else str(variable.value) or "no reason given"


def check() -> None:
    """Raise `Refused` while the stop is set."""
    if why := reason():
        raise Refused(f"Cleanups are stopped: {why}. `lead-cleanup go` lets them run again.")


def put(why: str) -> None:
    """Stop, for the reason *why*; the latest reason stands."""
    with prefect() as server, suppress(ObjectAlreadyExists):
        server.create_variable(VariableCreate(name=NAME, value=why))
        return
    with prefect() as server:
        server.update_variable(VariableUpdate(name=NAME, value=why))


def lift() -> bool:
    """Let cleanups run again. False if nothing was stopped."""
    with prefect() as server:
        try:
            server.delete_variable_by_name(NAME)
        except ObjectNotFound:
            return False
    return True
