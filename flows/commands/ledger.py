"""``lead-cleanup ledger``: which runs have claimed a bulk delete and are not known to have ended; tidying; a check."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import switch
from flows.console.asking import check_is_meant
from flows.console.executing import at_server
from flows.console.terminal import put
from tasks.runs.user import user
from tasks.runs.wording import counted


@at_server("The ledger is on a Prefect server.")
def ledger(
    *,
    give_up: Annotated[
        str | None,
        Parameter(
            help="Whole id of a run that, as you have seen in Close, deletes nothing any more: it no longer keeps "
            "other runs from starting. Your name is kept with that."
        ),
    ] = None,
    prune: Annotated[
        bool, switch("Delete records that have ended, are older than 90 days, and whose run Prefect no longer has.")
    ] = False,
    check: Annotated[
        bool,
        switch(
            "Compare all claims with Close's own list of bulk deletes, in the organisation of this key; only reads. "
            "The exit code is 1 if they disagree."
        ),
    ] = False,
) -> None:
    """List the claims that have not ended, after doing what the flags ask for."""
    from tasks.bulk_delete import check as comparing
    from tasks.bulk_delete import resume
    from tasks.ledger import store
    from tasks.runs import stop
    from tasks.runs.look_up import described, look_up
    from tasks.runs.outcomes import Outcome, Stop

    if give_up is not None:
        found = look_up(give_up)
        check_is_meant(give_up, described(found))
        put(f"Given up: {resume.give_up(found, user()).line}.")
    if prune:
        deleted = store.prune(datetime.now(UTC))
        put(f"Deleted {counted(len(deleted), 'old record')}.")
    if stopped := stop.sentence():
        put(stopped)
    open_claims, unreadable = store.list_open_claims()
    for line in [*(record.line for record in open_claims), *unreadable] or ["No open claims."]:
        put(line)
    if check:
        found = comparing.check()
        for line in [*found.differences, *found.notes]:
            put(line)
        if found.differences:
            places = counted(len(found.differences), "place")
            raise Stop(Outcome.FAILED, f"The ledger and Close disagree in {places}: docs/database.md says what to do.")
