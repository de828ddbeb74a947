"""``lead-cleanup stop`` and ``go``: nothing is started anywhere until somebody says so."""

from typing import Annotated

from cyclopts import Parameter

from flows.console.executing import at_server
from flows.console.terminal import Usage, put

NEEDS_SERVER = "The stop stands on the Prefect server that all runs share."


def stop(
    why: Annotated[str, Parameter(help="The reason; every run that refuses repeats it.")],
    /,
    *,
    running: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Also ask Close to pause the bulk deletes that are under way in the organisation of this key.",
        ),
    ] = False,
) -> int:
    """Set the stop; 1 if something that is under way can't be paused."""
    if not why.strip():
        raise Usage("Say why, for those who will wonder: lead-cleanup stop 'importing until Friday'.")

    def act() -> None:
        from tasks.bulk_delete import cancel
        from tasks.runs import stop

        stop.put(why.strip())
        put("Cleanups are stopped: no run starts anything until `lead-cleanup go`.")
        if running:
            for line in cancel.pause_running():
                put(line)

    return at_server(act, NEEDS_SERVER)


def go() -> int:
    """Lift the stop, and name the runs that have not come to their end."""

    def act() -> None:
        from tasks.ledger import store as ledger
        from tasks.runs import stop

        put("Cleanups run again." if stop.lift() else "Nothing was stopped.")
        open_claims, unreadable = ledger.list_unresolved()
        for record in open_claims:
            put(f"Not ended: {record.line}. `lead-cleanup resume {record.run_id}` continues it.")
        for sentence in unreadable:
            put(sentence)

    return at_server(act, NEEDS_SERVER)
