"""``lead-cleanup stop`` and ``go``: nothing is started anywhere until somebody says so."""

from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import switch
from flows.console.executing import at_server
from flows.console.terminal import Usage, put

NEEDS_SERVER = "The stop is recorded on the Prefect server that all runs share."


def stop(
    why: Annotated[
        str,
        Parameter(help="The reason; every run that refuses repeats it. Without one, the stop that is set is shown."),
    ] = "",
    /,
    *,
    running: Annotated[
        bool, switch("Also ask Close to pause the bulk deletes that are under way in the organisation of this key.")
    ] = False,
) -> int:
    """Set the stop, and name each bulk delete that can't be paused."""
    done = _stop(why.strip()) if why.strip() else _show()
    return done or (_pause_running() if running else 0)


@at_server(NEEDS_SERVER, "Nothing was stopped.")
def _stop(why: str) -> None:
    from tasks.runs import stop

    kept = stop.put(why)
    put("Cleanups are stopped: no run starts anything until `lead-cleanup go`.")
    if kept != why:
        put(f"Prefect can't keep all of that reason. It is kept as: {kept}")


@at_server(NEEDS_SERVER, "Nothing was stopped.")
def _show() -> None:
    from tasks.runs import stop

    stopped = stop.sentence()
    if stopped is None:
        raise Usage("Cleanups are not stopped. To stop them, say why: lead-cleanup stop 'importing until Friday'.")
    put(stopped)


@at_server(NEEDS_SERVER, "No bulk delete was paused.")
def _pause_running() -> None:
    from tasks.bulk_delete import cancel

    for line in cancel.pause_running():
        put(line)


def go() -> int:
    """Lift the stop, and name the runs that have not ended."""
    return _lift() or _list_open()


@at_server(NEEDS_SERVER, "Cleanups stay as they were.")
def _lift() -> None:
    from tasks.runs import stop

    put("Cleanups run again." if stop.lift() else "Nothing was stopped.")


@at_server(NEEDS_SERVER, "The runs that have not ended could not be listed.")
def _list_open() -> None:
    from tasks.ledger import store

    open_claims, unreadable = store.list_open_claims()
    for record in open_claims:
        put(f"Not ended: {record.line}. `lead-cleanup resume {record.run_id}` continues it.")
    for sentence in unreadable:
        put(sentence)
