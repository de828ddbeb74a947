"""``lead-cleanup report``: how a run ended, as it was written down then."""

from typing import TYPE_CHECKING

from flows.console.arguments import AsJson, RunName
from flows.console.executing import at_server

if TYPE_CHECKING:
    from tasks.report.model import RunReport

FLOWS = ("lead-cleanup", "restore-leads")
NEEDS_SERVER = "The reports of runs are on a Prefect server."


def report(
    run: RunName,
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Print what the run has published last; gives the exit code of the run."""

    def recall() -> "RunReport":
        from tasks.bulk_delete import resume
        from tasks.report import artifacts
        from tasks.restore import report

        return report.read(artifacts.recall_report(resume.look_up(run, FLOWS).id))

    return at_server(recall, NEEDS_SERVER, as_json=as_json)
