"""What a run leaves on the Prefect server: its plan, its progress and its report, as artifacts.

The keys are stable, so the Artifacts page is the history of a cleanup. A lead's name stands in the plan's sample and
nowhere else.
"""

import json
import logging
import re
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.context import TaskRunContext

from tasks.close.resources import BulkDelete
from tasks.ledger.record import Record
from tasks.plan.model import Plan, digest
from tasks.report.markdown import escape, kept_by, sample_rows, unescape
from tasks.report.model import Report
from tasks.runs.connect import prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.run import Run, slug

logger = logging.getLogger(__name__)

BLOCK = re.compile(r"```json\n(.*)\n```", re.DOTALL)
"""Where the query of a plan stands in its artifact, and the report as JSON."""
NOTE = re.compile(r"^> (.+)$", re.MULTILINE)
"""A note on a plan, in its artifact."""


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def publish_plan(run: Run, plan: Plan) -> None:
    """Show what would be deleted, before anything is. Raises when the Prefect API can't be written: no plan, no run."""
    counts = plan.counts
    _publish(
        run,
        "table",
        json.dumps(sample_rows(plan)),
        key=artifact_key(run, plan.organization_id, plan.organization, "plan"),
        description="\n\n".join(
            [
                f"**{counts.planned:,} of {counts.total:,} leads would be deleted.** {counts.matched:,} match, "
                f"{counts.kept['total']:,} of them are kept. Below are the {len(plan.sample)} oldest.",
                f"Asked for: {escape(plan.asked)}",
                kept_by(counts),
                *(f"> {escape(note)}" for note in plan.notes),
                f"Seen by {escape(plan.seen_by)} on {plan.as_of:%Y-%m-%d %H:%M} UTC. Digest `{plan.digest}`.",
                f"```json\n{json.dumps(plan.s_query)}\n```",
            ]
        ),
    )


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def recall_plan(record: Record) -> Plan:
    """The plan of an earlier attempt of this run, as it was shown: an attempt never builds its query anew.

    Labels get renamed and Smart Views edited. Raises `Stop` (``unknown``) if the plan can't be found as it was.
    """
    for artifact in artifacts_of(record.run_id):
        found = BLOCK.search(artifact.description or "")
        if found and digest(record.organization_id, s_query := json.loads(found[1])) == record.digest:
            notes = tuple(unescape(each) for each in NOTE.findall(artifact.description or ""))
            return record.plan(s_query).model_copy(update={"notes": notes})
    raise Stop(
        Outcome.UNKNOWN,
        f"The plan of this run, with digest {record.digest}, is not among its artifacts any more. Look in Close at "
        f"what bulk delete {record.bulk_delete_id or '(none recorded)'} did.",
    )


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def publish_report(run: Run, report: Report, organization: str) -> None:
    """Record how the run ended. A failure to publish is logged; it changes nothing about what was done."""
    with log_if_it_fails("The report"):
        write_report(run, report, organization)


def write_report(run: Run, report: Report, organization: str) -> None:
    """See `publish_report`, which doesn't raise. *organization* is the name, and empty where there is no plan."""
    at = report.organization_id or "", organization
    counts = [{"count": name, "leads": number} for name, number in report.counts()]
    page = plan_page(run.id)
    plan = f"\n[The plan]({page}) has the query and a sample.\n"
    text = report.markdown() + (plan if page else "")
    _publish(run, "markdown", text, key=artifact_key(run, *at), description=report.headline)
    _publish(run, "table", json.dumps(counts), key=artifact_key(run, *at, "counts"), description=report.headline)


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
            self._artifact = _publish(self._run, "progress", percent, description=f"Bulk delete {self._id}")
            return
        with prefect() as server:
            server.update_artifact(self._artifact, ArtifactUpdate(data=percent))


def artifact_key(run: Run, organization_id: str, organization: str, part: str = "") -> str:
    """The key of one of the cleanup's artifacts: ``lead-cleanup-<organisation>-<deployment>[-part]``.

    An organisation whose name has no Latin letter is called by the end of its id.
    """
    return slug("lead-cleanup", slug(organization) or organization_id[-8:], run.cleanup, part)


def plan_page(run_id: UUID) -> str | None:
    """Where the Prefect UI shows the plan that the run has published last; None if it hasn't.

    Not the page of its key: that is the history, shows no sample, and begins with the plan of whichever run was last.
    """
    plans = [each for each in artifacts_of(run_id) if each.type == "table" and BLOCK.search(each.description or "")]
    return f"/artifacts/artifact/{max(plans, key=lambda each: str(each.created)).id}" if plans else None


def artifacts_of(run_id: UUID) -> list[Artifact]:
    """Everything that the run has published. Raises `PrefectAway` when it can't be read."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with prefect() as server:
        return server.read_artifacts(artifact_filter=mine)


def _publish(run: Run, kind: str, data: object, *, description: str, key: str | None = None) -> UUID:
    """An artifact of the run; also from outside of it, as when it is cancelled."""
    context = TaskRunContext.get()
    values: dict[str, Any] = {"key": key, "type": kind, "data": data, "description": description}
    if context:
        values["task_run_id"] = context.task_run.id
    with prefect() as server:
        return server.create_artifact(ArtifactCreate(**values, flow_run_id=run.id)).id
