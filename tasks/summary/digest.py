"""The digest: what cleanups and restores did lately, what came of it, and what needs a person.

Read from Prefect alone: its runs, their reports, the open claims and the stop. Close isn't asked.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.runtime import flow_run
from pydantic import ValidationError

from tasks.report.artifacts import PREFIX, organization_in_key, publish
from tasks.report.escaping import escape, table
from tasks.report.history import report_in
from tasks.report.links import page_of_run
from tasks.report.model import Report, RunReport
from tasks.restore.report import RestoreReport, read
from tasks.runs import stop
from tasks.runs.connect import all_pages, prefect
from tasks.runs.retries import once, reads
from tasks.runs.run import AD_HOC, ORGANIZATION
from tasks.runs.wording import counted
from tasks.summary.attention import (
    OF_OUR_FLOWS,
    abandoned_claims,
    deployments,
    is_stopped,
    why_a_person,
)
from tasks.summary.overview import NO_NAME, is_paused, organization_of

KEY = "cleanup-digest"


class Published(NamedTuple):
    """A report, and the key under which it was published."""

    report: RunReport
    key: str


@dataclass(frozen=True)
class Ran:
    """A run, its cleanup's name, its organisation, and the report that it published last."""

    run: FlowRun
    cleanup: str
    organization: str
    """What organizations.yaml calls it, or its id; empty if that isn't known."""
    report: RunReport | None

    @property
    def group(self) -> tuple[str, str, bool]:
        """What runs that do the same share: cleanup, organisation, and whether they may change anything in Close."""
        return self.cleanup, self.organization, not self.run.parameters.get("dry_run", True)


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
    """A sentence on the stop; None if cleanups aren't stopped."""

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
    runs = list(_ran(found, deployed, reports))
    have_run = {each.deployment_id for each in found}
    scheduled = (each for each in deployed.values() if each.schedules and not is_paused(each))
    idle = sorted(each.name for each in scheduled if each.id not in have_run)
    return Digest(since, until, runs, idle, [*(claim.line for claim, _ in claims), *unreadable], stop.sentence())


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
        yield escape(digest.stopped)
    for line in digest.open_claims:
        yield f"Not known to have ended, so other live runs are refused: {escape(line)}"
    for runs in _grouped(digest.runs):
        looked = [each for each in runs if not is_stopped(each.run)]
        for each in looked:
            why = why_a_person(each.run, digest.until)
            # A later run of the same has looked again at what an earlier one has left.
            if why and (each is looked[-1] or each.run.state_type == StateType.PAUSED):
                yield f"{_link(each)}, {each.run.state_name}: {escape(why)}"


def _rows(digest: Digest) -> Iterator[tuple[str, ...]]:
    for runs in _grouped(digest.runs):
        cleanup, organization, live = runs[0].group
        states = Counter(str(each.run.state_name) for each in runs)
        came = ", ".join(f"{number} {state}" for state, number in states.items())
        name = escape(cleanup) + ("" if live else " (dry run)")
        yield name, escape(organization), str(len(runs)), came, _leads(runs, live=live)


def _leads(runs: Sequence[Ran], *, live: bool) -> str:
    """How many leads the runs have deleted or restored; of dry runs, what the latest plan has."""
    reports = [each.report for each in runs]
    if not live:
        planned = [each.planned for each in reports if isinstance(each, Report) and each.planned is not None]
        return f"{planned[-1]:,} in the latest plan" if planned else ""
    deleted = sum(each.processed or 0 for each in reports if isinstance(each, Report))
    restored = sum(each.created.get("lead", 0) for each in reports if isinstance(each, RestoreReport))
    known = {"deleted": deleted, "restored": restored}
    return ", ".join(f"{number:,} {done}" for done, number in known.items() if number) or "0"


def _grouped(runs: Sequence[Ran]) -> Iterator[list[Ran]]:
    for _, found in groupby(sorted(runs, key=lambda each: each.group), key=lambda each: each.group):
        yield list(found)


def _link(ran: Ran) -> str:
    """A link to the run's page."""
    return f"[{escape(ran.run.name)}]({page_of_run(ran.run.id)})"


def _ran(
    found: Sequence[FlowRun], deployed: Mapping[UUID, DeploymentResponse], reports: Mapping[UUID, Published]
) -> Iterator[Ran]:
    """Each run with its cleanup and organisation, also where its deployment is gone.

    A run that ended before it knew its organisation is one of the only organisation that has its cleanup.
    """
    named: dict[str, str] = {}
    for tags in (each.tags for each in (*deployed.values(), *found)):
        if (id_ := _organization_id(tags)) and (name := organization_of(tags)) != NO_NAME:
            named[id_] = name
    runs: list[Ran] = []
    known: dict[str, set[str]] = {}
    for run in found:
        report, key = reports.get(run.id) or (None, "")
        organization_id = _organization_id(run.tags) or (report and report.organization_id) or ""
        deployment = deployed.get(run.deployment_id) if run.deployment_id else None
        cleanup = run.parameters.get("cleanup") or (deployment.name if deployment else _in_key(key, organization_id))
        runs.append(Ran(run, str(cleanup), named.get(organization_id, organization_id), report))
        if organization_id:
            known.setdefault(runs[-1].cleanup, set()).add(runs[-1].organization)
    for each in runs:
        only = known.get(each.cleanup, set())
        yield each if each.organization or len(only) != 1 else replace(each, organization=min(only))


def _organization_id(tags: Iterable[str]) -> str:
    return next((each for each in tags if each.startswith(ORGANIZATION)), "")


def _in_key(key: str, organization_id: str) -> str:
    """The cleanup that the key of a report names: see `artifact_key`."""
    before = organization_in_key(organization_id) if organization_id else "-"
    return key.removeprefix(PREFIX).partition(before)[2] or AD_HOC


def _reports(server: SyncPrefectClient, due: FlowRunFilter) -> Iterator[tuple[UUID, Published]]:
    """The reports of the runs that were *due*, by the ids of the runs; of one run's, the latest comes last."""
    reports = ArtifactFilter.model_validate({"type": {"any_": ["markdown"]}, "key": {"like_": f"{PREFIX}-%"}})
    latest_first = partial(server.read_artifacts, artifact_filter=reports, sort=ArtifactSort.CREATED_DESC)
    for each in reversed(list(all_pages(partial(latest_first, flow_run_filter=due)))):
        if each.flow_run_id and (found := report_in(each)):
            with suppress(ValidationError):  # a later version's
                yield each.flow_run_id, Published(read(found), str(each.key))
