"""``lead-cleanup resume``: continue a run, on a worker or, if it has no deployment, in this process."""

from typing import TYPE_CHECKING, Annotated

from flows.console.arguments import AsJson, RunName, switch
from flows.console.asking import ask_whether, check_is_meant, somebody_is_there
from flows.console.executing import execute
from flows.console.terminal import say
from tasks.report.model import RunReport
from tasks.runs.user import user

if TYPE_CHECKING:
    from flows.console.engine import Execution

NEEDS_SERVER = "The record of what a run has started is on a Prefect server."


def resume(
    run: RunName,
    /,
    *,
    start_again: Annotated[
        bool,
        switch(
            "After `unknown`, if Close shows no bulk delete of it: allow it to start once more. Takes the whole "
            "id; your name is kept with that."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Continue the run. Returns 0 if a worker will, or the exit code of the run if it continues in this process."""

    def act(execution: "Execution") -> RunReport | None:
        from tasks.bulk_delete import resume
        from tasks.runs.look_up import described, look_up

        found = look_up(run)
        if start_again:
            check_is_meant(run, described(found))
        confirm = ask_whether_gone if somebody_is_there() else None
        here = resume.resume(found, user(), start_again=start_again, confirm=confirm)
        return execution.retry(found.id) if here else None

    return execute(act, why_server=NEEDS_SERVER, not_done="Nothing was resumed.", as_json=as_json)


def ask_whether_gone(known: str) -> bool:
    """Show what is *known* of a process, and return whether the person at the terminal says that it is gone."""
    say(known)
    return ask_whether("Is that process gone for certain, and is this run to continue here?")
