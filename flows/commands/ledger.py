"""``lead-cleanup ledger``: which runs have claimed a bulk delete and are not known to have ended; and tidying up."""

from typing import Annotated

from cyclopts import Parameter

from flows.console.executing import at_server
from flows.console.terminal import me, put
from tasks.runs.wording import counted

NEEDS_SERVER = "The ledger is on a Prefect server."


def ledger(
    *,
    give_up: Annotated[
        str | None,
        Parameter(
            help="Id of a run of which nothing more comes, as you have seen in Close: it stands in no other run's way "
            "any more. Your name is kept with that."
        ),
    ] = None,
    prune: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Delete records that have ended, are older than 90 days, and whose run Prefect no longer has.",
        ),
    ] = False,
) -> int:
    """List the claims that have not ended, after what the flags say was done."""

    def act() -> None:
        from datetime import UTC, datetime

        from tasks.bulk_delete import resume
        from tasks.ledger import store as ledger

        if give_up is not None:
            put(f"Given up: {resume.give_up(resume.look_up(give_up), me()).line}.")
        if prune:
            deleted, _ = ledger.prune(datetime.now(UTC))
            put(f"Deleted {counted(len(deleted), 'old record')}.")
        open_claims, unreadable = ledger.list_unresolved()
        for line in [*(record.line for record in open_claims), *unreadable]:
            put(line)
        if not open_claims and not unreadable:
            put("No open claims.")

    return at_server(act, NEEDS_SERVER)
