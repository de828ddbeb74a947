"""``lead-cleanup report``: how a run ended, as it was written down then."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.executing import execute
from flows.commands.terminal import put

if TYPE_CHECKING:
    from flows.commands.engine import Execution

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
    """Print what the run has published last; gives 0 however it ended."""

    def act(execution: "Execution") -> None:
        del execution
        from rich.console import Console
        from rich.markdown import Markdown

        from tasks import publish, resuming

        text, json = publish.recall_report(resuming.look_up(run).id)
        if as_json:
            put(json)
        else:
            Console().print(Markdown(text))

    return execute(act, needs_server=NEEDS_SERVER)
