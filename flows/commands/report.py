"""``lead-cleanup report``: how a run ended, as it was recorded then."""

from flows.console.arguments import AsJson, RunName
from flows.console.executing import execute
from tasks.report.model import RunReport

NEEDS_SERVER = "The reports of runs are on a Prefect server."


def report(run: RunName, /, *, as_json: AsJson = False) -> int:
    """Print the report that the run published last; return the exit code of the run."""
    return execute(lambda _: _recall(run), why_server=NEEDS_SERVER, as_json=as_json)


def _recall(run: str) -> RunReport:
    from tasks.report import artifacts
    from tasks.restore import report
    from tasks.runs.look_up import FLOWS, look_up

    return report.read(artifacts.recall_report(look_up(run, FLOWS).id))
