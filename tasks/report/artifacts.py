"""A run's artifacts on the Prefect server: its progress and its report.

Their keys are stable, so Prefect's Artifacts page is the history of a cleanup.
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
from tasks.runs.run import Run, slug
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

BLOCK = re.compile(r"```json\n(.*)\n```", re.DOTALL)
"""The JSON in an artifact's markdown: a report, or the query of a plan that 0.1 published."""


def publish_report(run: Run, report: RunReport, organization: str) -> None:
    """Publish how the run ended. A failure to publish is logged, and doesn't change the outcome.

    It isn't a task, since Prefect begins none in a run that a person has suspended.
    """
    with log_if_it_fails("Publishing the report"):
        write_report(run, report, organization)


def write_report(run: Run, report: RunReport, organization: str) -> None:
    """Publish *report*. *organization* is its name, empty where there is no plan. Raises `PrefectUnavailable`."""
    at = report.organization_id or "", organization
    counts = [{"count": name, "leads": number} for name, number in report.counts()]
    page = page_of_plan(run.id)
    text = report.markdown() + (f"\n[The plan]({page}) has the query and a sample.\n" if page else "")
    publish(run, "markdown", text, key=artifact_key(run, *at), description=report.headline)
    publish(run, "table", json.dumps(counts), key=artifact_key(run, *at, "counts"), description=report.headline)


def recall_report(run_id: UUID) -> str:
    """The JSON of the latest report that the run has published. Raises `Refused` where there is none."""
    for each in reversed(artifacts_of(run_id)):
        if each.type == "markdown" and (found := BLOCK.search(str(each.data))):
            return found[1]
    raise Refused(f"Run {run_id} has published no report (yet).")


class Progress:
    """Shows a bulk delete at work: its status in the log, its share in a progress artifact, each when it changes."""

    def __init__(self, run: Run, bulk_delete_id: str) -> None:
        self._run = run
        self._id = bulk_delete_id
        self._status: str | None = ""
        self._processed = -1
        self._artifact: UUID | None = None

    def show(self, job: BulkDelete) -> None:
        """Log and publish what has changed since the last call."""
        if job.status != self._status:
            self._status = job.status
            logger.info("Bulk delete %s is %s.", self._id, job.status)
        if job.total and job.processed != self._processed:
            self._processed = job.processed
            logger.info("%s of %s deleted.", f"{job.processed:,}", counted(job.total, "lead"))
            with log_if_it_fails("Publishing the progress"):
                self._show(min(100 * job.processed / job.total, 100.0))

    def _show(self, percent: float) -> None:
        if self._artifact is None:
            self._artifact = publish(self._run, "progress", percent, description=f"Bulk delete {self._id}")
            return
        with prefect() as server:
            server.update_artifact(self._artifact, ArtifactUpdate(data=percent))


def artifact_key(run: Run, organization_id: str, organization: str, part: str = "") -> str:
    """The key of one of the cleanup's artifacts: ``lead-cleanup-<organisation>-<deployment>[-part]``.

    Where the organisation's name has no Latin letter or digit, the end of its id takes its place.
    """
    return slug("lead-cleanup", slug(organization) or organization_id[-8:], run.cleanup, part)


def page_of_plan(run_id: UUID) -> str | None:
    """Where the Prefect UI shows the latest plan that the run has published; None if there is none.

    Not the page of its key: that is a history, shows no sample, and begins with the latest plan of any run.
    """
    plans = [each for each in artifacts_of(run_id) if each.type == "table" and str(each.key).endswith("-plan")]
    return f"/artifacts/artifact/{plans[-1].id}" if plans else None


def artifacts_of(run_id: UUID) -> list[Artifact]:
    """All artifacts of the run, oldest first. Raises `PrefectUnavailable` when they can't be read."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with prefect() as server:
        return sorted(server.read_artifacts(artifact_filter=of_run), key=lambda each: str(each.created))


def publish(run: Run, kind: str, data: object, *, description: str, key: str | None = None) -> UUID:
    """Create an artifact of the run and return its id; also outside of the run, as when it is cancelled."""
    values: dict[str, Any] = {"key": key, "type": kind, "data": data, "description": description}
    if context := TaskRunContext.get():
        values["task_run_id"] = context.task_run.id
    with prefect() as server:
        return server.create_artifact(ArtifactCreate(**values, flow_run_id=run.id)).id
