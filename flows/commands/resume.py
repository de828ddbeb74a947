"""``lead-cleanup resume``: a run goes on where it was; on a worker or, if it has no deployment, here."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.console.arguments import RunName
from flows.console.executing import execute
from flows.console.terminal import me

if TYPE_CHECKING:
    from flows.console.engine import Execution
    from tasks.report.model import RunReport

NEEDS_SERVER = "The record of what a run has started is on a Prefect server."


def resume(
    run: RunName,
    /,
    *,
    start_again: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="After `unknown`, if Close shows no bulk delete of it: let it start once more. Your name is kept with "
            "that.",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        Parameter(
            name="--json",
            negative=(),
            show_default=False,
            help="Print the report as one JSON object on stdout, if the run goes on here.",
        ),
    ] = False,
) -> int:
    """Let the run go on; gives 0 once that is arranged, or the exit code of the run if it goes on here."""

    def go_on(execution: "Execution") -> "RunReport | None":
        from tasks.bulk_delete import resume

        found = resume.look_up(run)
        here = resume.resume(found, me(), start_again=start_again)
        return execution.again(found.id) if here else None

    return execute(go_on, needs_server=NEEDS_SERVER, as_json=as_json)
