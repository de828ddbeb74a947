"""A run's artifacts on the Prefect server: its progress and its report.

Their keys are stable, so Prefect's Artifacts page is the history of a cleanup.
"""

import json
import logging
import re
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_UI_URL
from pydantic import ValidationError
from slugify import slugify

from tasks.close.resources import BulkDelete
from tasks.close.settings import CloseSettings
from tasks.report.model import RunReport
from tasks.runs.connect import prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused
from tasks.runs.run import Run
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

PREFIX = "lead-cleanup"
"""Of the keys of artifacts."""
ENOUGH_OF_ID = 6
"""How many characters of its id tell an organisation from others whose names are written alike."""
LATEST = 20
"""How many reports to look through: Prefect finds keys by a part of them, and that may be part of another key."""
BLOCK = re.compile(r"```json\n(.*)\n```", re.DOTALL)
"""The JSON in an artifact's markdown: a report, or the query of a plan that 0.1 published."""


def publish_report(run: Run, report: RunReport, organization: str) -> None:
    """Publish how the run ended, and log it in one line. A failure to publish doesn't change the outcome.

    It isn't a task, since Prefect begins none in a run that a person has suspended. The line goes to Prefect's own
    logger: a terminal, which leaves that out, shows the report itself.
    """
    where = ""
    with log_if_it_fails("Publishing the report"):
        page = write_report(run, report, organization)
        if ui := PREFECT_UI_URL.value():
            where = f" Report: {ui.rstrip('/')}/artifacts/artifact/{page}"
    level = logging.INFO if report.outcome.good else logging.ERROR
    said = report.message if report.message.startswith(report.headline) else f"{report.headline}. {report.message}"
    get_run_logger().log(level, "%s%s", said, where)


def write_report(run: Run, report: RunReport, organization: str) -> UUID:
    """Publish *report*, and return the id of its artifact. *organization* is its name, empty where there is no plan.

    Raises `PrefectUnavailable`.
    """
    key = artifact_key(run, report.organization_id or "", organization) if organization else _key_without_plan(run)
    counts = [{"count": name, "leads": number} for name, number in report.counts()]
    page = page_of_plan(run.id)
    text = report.markdown() + (f"\n[The plan]({page}) has the query and a sample.\n" if page else "")
    page = publish(run, "markdown", text, key=key, description=report.headline)
    publish(run, "table", json.dumps(counts), key=f"{key}-counts", description=report.headline)
    return page


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


def artifact_key(run: Run, organization_id: str, organization: str) -> str:
    """The key of the cleanup's report: ``lead-cleanup-<organisation>-<last six of its id>-<deployment>``.

    Other alphabets are written in Latin letters. What isn't known, or has neither letters nor digits, is left out.
    """
    parts = (PREFIX, organization, organization_id[-ENOUGH_OF_ID:], run.cleanup)
    return "-".join(filter(None, map(slugify, parts)))


def _key_without_plan(run: Run) -> str:
    """The same for a run that has no plan yet: the key of the latest report that had one, to continue its history.

    That is a report of the organisation that CLOSE_ORGANIZATION_ID names, or else of the run's deployment.
    """
    organization_id = ""
    with suppress(ValidationError):  # settings that can't be used are why there is no plan
        organization_id = CloseSettings().organization_id or ""
    alone = artifact_key(run, organization_id, "")
    if not organization_id and run.deployment_id is None:
        return alone
    end = alone.removeprefix(PREFIX)
    reports = {"type": {"any_": ["markdown"]}, "key": {"like_": f"{PREFIX}-%{end}"}}
    runs = {} if organization_id else {"deployment_id": {"any_": [run.deployment_id]}}
    with prefect() as server:
        found = server.read_artifacts(
            artifact_filter=ArtifactFilter.model_validate(reports),
            flow_run_filter=FlowRunFilter.model_validate(runs),
            sort=ArtifactSort.CREATED_DESC,
            limit=LATEST,
        )
    keys = (str(each.key) for each in found)
    return next((key for key in keys if key.endswith(end) and key != alone), alone)


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
