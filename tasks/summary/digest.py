"""The digest: what cleanups and restores did lately, what came of it, and what needs a person.

Read from Prefect alone: its runs, their reports, the open claims and the stop. Close isn't asked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.runtime import flow_run
from pydantic import ValidationError

from tasks.report.artifacts import PREFIX, publish
from tasks.report.escaping import escape, table
from tasks.report.history import report_in
from tasks.report.links import page_of_run
from tasks.report.model import Report, RunReport
from tasks.restore.report import RestoreReport, read
from tasks.runs import stop
from tasks.runs.connect import prefect
from tasks.runs.retries import once, reads
from tasks.runs.run import AD_HOC
from tasks.runs.wording import counted, ended
from tasks.summary.attention import OF_OUR_FLOWS, abandoned_claims, all_pages, deployments, why_a_person

KEY = "cleanup-digest"


@dataclass(frozen=True)
class Ran:
    """A run, its cleanup's name, and the report that it published last."""

    run: FlowRun
    cleanup: str
    report: RunReport | None

    @property
    def group(self) -> tuple[str, bool]:
        """What runs that do the same share: the cleanup, and whether they may change anything in Close."""
        return self.cleanup, not self.run.parameters.get("dry_run", True)


@dataclass(frozen=True)
class Digest:
    """What is known of the runs that were due between two instants, oldest first."""

    since: datetime
    until: datetime
    runs: Sequence[Ran]
    idle: Sequence[str]
    """Deployments with an active schedule and without a run."""
    open_claims: Sequence[str]
    """A line on each claim whose run won't continue by itself."""
    stopped: str | None
    """Why cleanups are stopped."""

    @property
    def summary(self) -> str:
        """How much there is to read."""
        found = len(list(needs_a_person(self)))
        needs = counted(found, "thing needs", "things need") if found else "nothing needs"
        return f"{counted(len(self.runs), 'run')}, and {needs} a person."


@reads
def read_digest(days: int, until: datetime) -> Digest:
    """What Prefect knows of the runs that were due in the last *days* days."""
    since = until - timedelta(days=days)
    due = FlowRunFilter.model_validate({"expected_start_time": {"after_": since, "before_": until}})
    with prefect() as server:
        deployed = {each.id: each for each in deployments(server)}
        by_age = partial(server.read_flow_runs, flow_filter=OF_OUR_FLOWS, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        found = list(all_pages(partial(by_age, flow_run_filter=due)))
        reports = dict(_reports(server, due))
        claims, unreadable = abandoned_claims(server)
    runs = [Ran(each, _cleanup(each, deployed), reports.get(each.id)) for each in found]
    have_run = {each.deployment_id for each in found}
    idle = (each for each in deployed.values() if each.id not in have_run and _is_scheduled(each))
    names = sorted(each.name for each in idle)
    return Digest(since, until, runs, names, [*(claim.line for claim, _ in claims), *unreadable], stop.reason())


@once
def publish_digest(text: str, summary: str) -> None:
    """Publish the digest as an artifact, whose key is the history of digests."""
    publish(UUID(str(flow_run.id)), "markdown", text, key=KEY, description=summary)


def markdown(digest: Digest, time_zone: str) -> str:
    """The digest for people. Has counts and no names of leads."""
    since, until = (f"{each.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M}" for each in (digest.since, digest.until))
    needs = [f"- {each}" for each in needs_a_person(digest)] or ["Nothing."]
    rows = table(("Cleanup", "Organisation", "Runs", "What came of it", "Leads"), _rows(digest))
    return "\n\n".join(
        [
            f"## Cleanups from {since} to {until} ({time_zone})",
            "### Needs a person",
            "\n".join(needs),
            "### What each did",
            rows or "No cleanup ran.",
            *([f"Scheduled, and without a run: {', '.join(map(escape, digest.idle))}."] if digest.idle else []),
        ]
    )


def needs_a_person(digest: Digest) -> Iterator[str]:
    """What somebody has to do something about, one sentence each, in markdown."""
    if digest.stopped is not None:
        yield f"Cleanups are stopped: {escape(ended(digest.stopped))} `lead-cleanup go` lets them run again."
    for line in digest.open_claims:
        yield f"Not known to have ended, so other live runs are refused: {escape(line)}"
    for runs in _grouped(digest.runs):
        for each in runs:
            why = why_a_person(each.run, digest.until)
            # A later run of the same has looked again at what an earlier one has left.
            if why and (each is runs[-1] or each.run.state_type == StateType.PAUSED):
                yield f"{_link(each)}, {each.run.state_name}: {escape(why)}"


def _rows(digest: Digest) -> Iterator[tuple[str, ...]]:
    for runs in _grouped(digest.runs):
        cleanup, live = runs[0].group
        organizations = {each.report.organization_id or "": None for each in runs if each.report}
        states = Counter(str(each.run.state_name) for each in runs)
        came = ", ".join(f"{number} {state}" for state, number in states.items())
        name = escape(cleanup) + ("" if live else " (dry run)")
        where = ", ".join(filter(None, organizations))
        yield name, where, str(len(runs)), came, _leads(runs, live=live)


def _leads(runs: Sequence[Ran], *, live: bool) -> str:
    """How many leads the runs have deleted or restored; of dry runs, what the latest plan has."""
    reports = [each.report for each in runs]
    if not live:
        planned = [each.planned for each in reports if isinstance(each, Report) and each.planned is not None]
        return f"{planned[-1]:,} in the latest plan" if planned else ""
    if restored := sum(each.created.get("lead", 0) for each in reports if isinstance(each, RestoreReport)):
        return f"{restored:,} restored"
    return f"{sum(each.processed or 0 for each in reports if isinstance(each, Report)):,} deleted"


def _grouped(runs: Sequence[Ran]) -> Iterator[list[Ran]]:
    for _, found in groupby(sorted(runs, key=lambda each: each.group), key=lambda each: each.group):
        yield list(found)


def _link(ran: Ran) -> str:
    """A link to the run's page."""
    return f"[{escape(ran.run.name)}]({page_of_run(ran.run.id)})"


def _cleanup(run: FlowRun, deployed: Mapping[UUID, DeploymentResponse]) -> str:
    found = deployed.get(run.deployment_id) if run.deployment_id else None
    return str(run.parameters.get("cleanup") or (found.name if found else AD_HOC))


def _is_scheduled(found: DeploymentResponse) -> bool:
    return not found.paused and any(each.active for each in found.schedules)


def _reports(server: SyncPrefectClient, due: FlowRunFilter) -> Iterator[tuple[UUID, RunReport]]:
    """The reports of the runs that were *due*, by the ids of the runs; of one run's, the latest comes last."""
    reports = ArtifactFilter.model_validate({"type": {"any_": ["markdown"]}, "key": {"like_": f"{PREFIX}-%"}})
    latest_first = partial(server.read_artifacts, artifact_filter=reports, sort=ArtifactSort.CREATED_DESC)
    for each in reversed(list(all_pages(partial(latest_first, flow_run_filter=due)))):
        if each.flow_run_id and (found := report_in(each)):
            with suppress(ValidationError):  # a later version's
                yield each.flow_run_id, read(found)
