"""The stop: while it is set, no run of this Prefect server starts anything, in any organisation.

It is the Prefect Variable ``lead_cleanup_stop``, whose value is the reason. ``lead-cleanup stop WHY`` sets it and
``lead-cleanup go`` deletes it; the Prefect UI can do both, under Variables.
"""

from contextlib import suppress

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tasks.runs.connect import prefect
from tasks.runs.outcomes import Refused
from tasks.runs.wording import shortened

NAME = "lead_cleanup_stop"
LONGEST = 4000
"""Bytes of a reason; Prefect keeps 5,000 in a Variable."""


def reason() -> str | None:
    """Why cleanups are stopped, or None. Raises `PrefectUnavailable`: without an answer, nothing may start."""
    with prefect() as server:
        variable = server.read_variable_by_name(NAME)
    return None if variable is None else str(variable.value) or "no reason given"


def check() -> None:
    """Raise `Refused` while the stop is set."""
    if why := reason():
        raise Refused(f"Cleanups are stopped: {why}. `lead-cleanup go` lets them run again.")


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
