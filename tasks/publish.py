"""What a run leaves on the Prefect server: its plan, its progress and its report, as artifacts.

The keys are stable, so the Artifacts page is the history of a cleanup. A lead's name stands in the plan's sample and
nowhere else.
"""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact

from tasks.close.resources import BulkDelete
from tasks.connect import PREFECT_AWAY
from tasks.ledger import Record
from tasks.outcomes import Outcome, Stop
from tasks.plan import Plan, digest
from tasks.report import Report, escape, sample_rows, words
from tasks.run import Run, slug


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def publish_plan(run: Run, plan: Plan) -> None:
    """Show what would be deleted, before anything is. Raises when the Prefect API can't be written: no plan, no run."""
    counts = plan.counts
    kept = "\n".join(f"- kept by {words(rule)}: {number:,}" for rule, number in counts.kept.items() if rule != "total")
    create_table_artifact(
        key=artifact_key(run, plan, "plan"),
        table=sample_rows(plan),
        description="\n\n".join(
            [
                f"**{counts.planned:,} of {counts.total:,} leads would be deleted.** {counts.matched:,} match, "
                f"{counts.kept['total']:,} of them are kept. Below are the {len(plan.sample)} oldest.",
                kept,
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
        found = re.search(r"```json\n(.*)\n```", artifact.description or "", re.DOTALL)
        if found and digest(record.organization_id, s_query := json.loads(found[1])) == record.digest:
            return record.plan(s_query)
    raise Stop(
        Outcome.UNKNOWN,
        f"The plan of this run, with digest {record.digest}, is not among its artifacts any more. Look in Close at "
        f"what bulk delete {record.bulk_delete_id or '(none recorded)'} did.",
    )


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def publish_report(run: Run, report: Report, plan: Plan | None) -> None:
    """Record how the run ended. A failure to publish is logged; it changes nothing about what was done."""
    with harmless("The report"):
        create_markdown_artifact(
            key=artifact_key(run, plan),
            markdown=report.markdown(),
            description=report.headline,
        )
        create_table_artifact(
            key=artifact_key(run, plan, "counts"),
            table=[{"count": name, "leads": number} for name, number in report.counts()],
            description=report.headline,
        )


class Progress:
    """A bulk delete's way to its end: the status in the log, the share in a progress artifact; each when it changes."""

    def __init__(self, bulk_delete_id: str) -> None:
        self._id = bulk_delete_id
        self._status: str | None = ""
        self._processed = -1
        self._artifact: UUID | None = None

    def show(self, job: BulkDelete) -> None:
        """Tell what has changed since the last time, if anything has."""
        if job.status != self._status:
            self._status = job.status
            get_run_logger().info("Bulk delete %s is %s.", self._id, job.status)
        if job.total and job.processed != self._processed:
            self._processed = job.processed
            get_run_logger().info("%s of %s leads are deleted.", f"{job.processed:,}", f"{job.total:,}")
            with harmless("The progress"):
                self._publish(100 * job.processed / job.total)

    def _publish(self, percent: float) -> None:
        if self._artifact:
            update_progress_artifact(self._artifact, percent)
        else:
            created = create_progress_artifact(percent, description=f"Bulk delete {self._id}")
            self._artifact = cast("UUID", created)  # a coroutine only inside an event loop


def artifact_key(run: Run, plan: Plan | None, part: str = "") -> str:
    """The key of one of the cleanup's artifacts: ``lead-cleanup-<organisation>-<deployment>[-part]``.

    An organisation whose name has no Latin letter is called by the end of its id.
    """
    organization = (slug(plan.organization) or plan.organization_id[-8:]) if plan else ""
    return slug("lead-cleanup", organization, run.cleanup, part)


def artifacts_of(run_id: UUID) -> list[Artifact]:
    """Everything that the run has published. Raises when the Prefect API can't be read."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as prefect:
        return prefect.read_artifacts(artifact_filter=mine)


@contextmanager
def harmless(what: str) -> Generator[None]:
    """Publishing that must not change the outcome: log that *what* couldn't be published, and go on."""
    try:
        yield
    except PREFECT_AWAY as error:
        get_run_logger().warning("%s could not be published: %r", what, error)
