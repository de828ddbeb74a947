"""``lead-cleanup report``: how a run ended, as it was written down then."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.executing import execute

if TYPE_CHECKING:
    from flows.commands.engine import Execution
    from tasks.report import Report

NEEDS_SERVER = "The reports of runs are on a Prefect server."


def report(
    run: Annotated[str, Parameter(help="Id of the run, or its name if no other run bears it.")],
    /,
    *,
    as_json: Annotated[
        bool,
        Parameter(
            name="--json",
            negative=(),
            show_default=False,
            help="Print the report as one JSON object on stdout, as the run did.",
        ),
    ] = False,
) -> int:
    """Print what the run has published last; gives the exit code of the run."""

    def recall(execution: "Execution") -> "Report":
        del execution
        from tasks import publish, resuming

        return publish.recall_report(resuming.look_up(run).id)

    return execute(recall, needs_server=NEEDS_SERVER, as_json=as_json)
