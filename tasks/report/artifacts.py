"""A run's artifacts on the Prefect server, its report above all.

Their keys are stable, so Prefect's Artifacts page is the history of a cleanup.
"""

import json
import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_UI_URL
from pydantic import ValidationError
from slugify import slugify

from tasks.close.settings import CloseSettings
from tasks.report.history import earlier_runs, report_in
from tasks.report.links import page_of_artifact, page_of_run
from tasks.report.model import RunReport
from tasks.report.page import PastRun, report_page
from tasks.runs.connect import plain, prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused
from tasks.runs.run import Run

PREFIX = "lead-cleanup"
"""What the keys of all artifacts begin with."""
ENOUGH_OF_ID = 6
"""How many characters of its id tell an organisation from others whose names are written alike."""
LATEST = 20
"""How many reports to look through: Prefect finds keys by a part of them, and that may be part of another key."""


def publish_report(run: Run, report: RunReport, organization: str, plan: UUID | None = None) -> None:
    """Publish how the run ended, and log it in one line. A failure to publish doesn't change the outcome.

    It isn't a task, since Prefect begins none in a run that a person has suspended. The line goes to Prefect's own
    logger: a terminal, which leaves that out, shows the report itself.
    """
    where = ""
    with log_if_it_fails("Publishing the report"):
        page = write_report(run, report, organization, plan)
        if ui := PREFECT_UI_URL.value():
            where = f" Report: {ui.rstrip('/')}/artifacts/artifact/{page}"
    level = logging.INFO if report.outcome.good else logging.ERROR
    with suppress(MissingContextError):  # a process that ends a cancelled run has no log of it
        get_run_logger().log(level, "%s%s", report.in_one_line, where)


def write_report(run: Run, report: RunReport, organization: str, plan: UUID | None = None) -> UUID:
    """Publish *report*, and return the id of its artifact. *organization* is its name, empty where there is no plan.

    *plan* is the id of the plan's page; if it isn't given, it is looked for. Raises `PrefectUnavailable`.
    """
    key = artifact_key(run, report.organization_id or "", organization) if organization else _key_without_plan(run)
    counts = [{"count": name, "leads": number} for name, number in report.counts()]
    earlier: list[PastRun] = []
    with log_if_it_fails("Reading the earlier runs"):
        earlier = earlier_runs(key, run.id)
    pages = [(each, page_of_run(each.run_id)) for each in earlier]
    whose = f"{run.cleanup} in {organization}" if organization else run.cleanup
    planned = page_of_artifact(plan) if plan else page_of_plan(run.id)
    text = report_page(report, pages, whose=whose, plan=planned, run=page_of_run(run.id))
    page = publish(run.id, "markdown", text, key=key, description=report.summary)
    publish(run.id, "table", json.dumps(counts), key=f"{key}-counts", description=report.summary)
    return page


def recall_report(run_id: UUID) -> dict[str, Any]:
    """The latest report that the run has published, as its JSON has it. Raises `Refused` where there is none."""
    for report in filter(None, map(report_in, reversed(artifacts_of(run_id)))):
        return report
    raise Refused(f"Run {run_id} has published no report (yet).")


def runs_before(run_id: UUID) -> list[PastRun]:
    """The runs of the same cleanup that are shown with the report of this one. Raises `PrefectUnavailable`."""
    reports = [each for each in artifacts_of(run_id) if report_in(each)]
    if not reports:
        return []
    last = reports[-1]
    return earlier_runs(str(last.key), run_id, plain(last.created) if last.created else None)


def artifact_key(run: Run, organization_id: str, organization: str) -> str:
    """The key of the cleanup's report: ``lead-cleanup-<organisation>-<last six of its id>-<deployment>``.

    Other alphabets are written in Latin letters. What isn't known, or has neither letters nor digits, is left out.
    """
    parts = (PREFIX, organization, organization_id[-ENOUGH_OF_ID:], run.cleanup)
    return "-".join(filter(None, map(slugify, parts)))


def organization_in_key(organization_id: str) -> str:
    """What stands between the organisation's name and the cleanup's in its keys: see `artifact_key`."""
    return f"-{slugify(organization_id[-ENOUGH_OF_ID:])}-"


def _key_without_plan(run: Run) -> str:
    """The key for a run that has no plan yet: that of the latest report that had one, to continue its history.

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
    plans = [each for each in artifacts_of(run_id) if str(each.key).endswith("-plan") and not report_in(each)]
    return page_of_artifact(plans[-1].id) if plans else None


def artifacts_of(run_id: UUID) -> list[Artifact]:
    """All artifacts of the run, oldest first. Raises `PrefectUnavailable` when they can't be read."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with prefect() as server:
        return sorted(server.read_artifacts(artifact_filter=of_run), key=lambda each: str(each.created))


def publish(run_id: UUID, kind: str, data: object, *, description: str, key: str | None = None) -> UUID:
    """Create an artifact of that run and return its id; also outside of the run, as when it is cancelled."""
    values: dict[str, Any] = {"key": key, "type": kind, "data": data, "description": description}
    if context := TaskRunContext.get():
        values["task_run_id"] = context.task_run.id
    with prefect() as server:
        return server.create_artifact(ArtifactCreate(**values, flow_run_id=run_id)).id
