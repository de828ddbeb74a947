"""What a run leaves on the Prefect server, as artifacts: its progress and its report.

The keys are stable, so the Artifacts page is the history of a cleanup.
"""

import json
import logging
import re
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.context import TaskRunContext

from tasks.close.resources import BulkDelete
from tasks.report.model import RunReport
from tasks.runs.connect import prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused
from tasks.runs.retries import once
from tasks.runs.run import Run, slug

logger = logging.getLogger(__name__)

BLOCK = re.compile(r"```json\n(.*)\n```", re.DOTALL)
"""The JSON in an artifact's markdown: a report; and, of a run that 0.1 has planned, the query."""


@once
def publish_report(run: Run, report: RunReport, organization: str) -> None:
    """Record how the run ended. A failure to publish is logged; it changes nothing about what was done."""
    with log_if_it_fails("The report"):
        write_report(run, report, organization)


def write_report(run: Run, report: RunReport, organization: str) -> None:
    """See `publish_report`, which doesn't raise. *organization* is the name, and empty where there is no plan."""
    at = report.organization_id or "", organization
    counts = [{"count": name, "leads": number} for name, number in report.counts()]
    page = page_of_plan(run.id)
    text = report.markdown() + (f"\n[The plan]({page}) has the query and a sample.\n" if page else "")
    publish(run, "markdown", text, key=artifact_key(run, *at), description=report.headline)
    publish(run, "table", json.dumps(counts), key=artifact_key(run, *at, "counts"), description=report.headline)


def recall_report(run_id: UUID) -> str:
    """The JSON of the report that the run has published last. Raises `Refused` where there is none."""
    reports = [each for each in artifacts_of(run_id) if each.type == "markdown"]
    for each in sorted(reports, key=lambda each: str(each.created), reverse=True):
        if found := BLOCK.search(str(each.data)):
            return found[1]
    raise Refused(f"Run {run_id} has published no report (yet).")


class Progress:
    """A bulk delete's way to its end: the status in the log, the share in a progress artifact; each when it changes."""

    def __init__(self, run: Run, bulk_delete_id: str) -> None:
        self._run = run
        self._id = bulk_delete_id
        self._status: str | None = ""
        self._processed = -1
        self._artifact: UUID | None = None

    def show(self, job: BulkDelete) -> None:
        """Tell what has changed since the last time, if anything has."""
        if job.status != self._status:
            self._status = job.status
            logger.info("Bulk delete %s is %s.", self._id, job.status)
        if job.total and job.processed != self._processed:
            self._processed = job.processed
            logger.info("%s of %s leads are deleted.", f"{job.processed:,}", f"{job.total:,}")
            with log_if_it_fails("The progress"):
                self._show(min(100 * job.processed / job.total, 100.0))

    def _show(self, percent: float) -> None:
        if self._artifact is None:
            self._artifact = publish(self._run, "progress", percent, description=f"Bulk delete {self._id}")
            return
        with prefect() as server:
            server.update_artifact(self._artifact, ArtifactUpdate(data=percent))


def artifact_key(run: Run, organization_id: str, organization: str, part: str = "") -> str:
    """The key of one of the cleanup's artifacts: ``lead-cleanup-<organisation>-<deployment>[-part]``.

    An organisation whose name has no Latin letter is called by the end of its id.
    """
    return slug("lead-cleanup", slug(organization) or organization_id[-8:], run.cleanup, part)


def page_of_plan(run_id: UUID) -> str | None:
    """Where the Prefect UI shows the plan that the run has published last; None if it hasn't.

    Not the page of its key: that is the history, shows no sample, and begins with the plan of whichever run was last.
    """
    plans = [each for each in artifacts_of(run_id) if each.type == "table" and str(each.key).endswith("-plan")]
    return f"/artifacts/artifact/{max(plans, key=lambda each: str(each.created)).id}" if plans else None


def artifacts_of(run_id: UUID) -> list[Artifact]:
    """Everything that the run has published. Raises `PrefectAway` when it can't be read."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with prefect() as server:
        return server.read_artifacts(artifact_filter=mine)


def publish(run: Run, kind: str, data: object, *, description: str, key: str | None = None) -> UUID:
    """An artifact of the run; also from outside of it, as when it is cancelled."""
    context = TaskRunContext.get()
    values: dict[str, Any] = {"key": key, "type": kind, "data": data, "description": description}
    if context:
        values["task_run_id"] = context.task_run.id
    with prefect() as server:
        return server.create_artifact(ArtifactCreate(**values, flow_run_id=run.id)).id
