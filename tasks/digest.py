"""The digest: what cleanups and restores did lately, what came of it, and what needs a person.

Read from Prefect alone: its runs, their reports, the open claims and the stop. Close isn't asked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for
from pydantic import ValidationError

from tasks.ledger import store as ledger
from tasks.report.artifacts import PREFIX
from tasks.report.escaping import escape
from tasks.report.history import BLOCK
from tasks.report.model import Report, RunReport
from tasks.restore.report import RestoreReport, read
from tasks.runs import stop
from tasks.runs.connect import plain, prefect
from tasks.runs.retries import once, reads
from tasks.runs.run import AD_HOC
from tasks.runs.wording import counted, ended

FLOWS = ("lead-cleanup", "restore-leads")
KEY = "cleanup-digest"
PAGE = 200  # Prefect returns no more at a time
LATE = timedelta(minutes=30)
"""A run that was due this long ago and hasn't begun has no worker."""
Found = TypeVar("Found")


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

    @property
    def state(self) -> State[Any]:
        """The run's state."""
        if self.run.state is None:
            raise RuntimeError("a run has a state")
        return self.run.state


@dataclass(frozen=True)
class Digest:
    """What is known of the runs that were due between two instants, oldest first."""

    since: datetime
    until: datetime
    runs: Sequence[Ran]
    idle: Sequence[str]
    """Deployments with an active schedule and without a run."""
    open_claims: Sequence[str]
    """A line on each claim whose run isn't at it."""
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
    flows = FlowFilter.model_validate({"name": {"any_": FLOWS}})
    with prefect() as server:
        deployed = {each.id: each for each in _all(partial(server.read_deployments, flow_filter=flows))}
        by_age = partial(server.read_flow_runs, flow_filter=flows, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        found = list(_all(partial(by_age, flow_run_filter=due)))
        reports = dict(_reports(server, due))
    runs = [Ran(each, _cleanup(each, deployed), reports.get(each.id)) for each in found]
    have_run = {each.deployment_id for each in found}
    idle = (each for each in deployed.values() if each.id not in have_run and _is_scheduled(each))
    names = sorted(each.name for each in idle)
    return Digest(since, until, runs, names, list(_open_claims()), stop.reason())


@once
def publish_digest(text: str, summary: str) -> None:
    """Publish the digest as an artifact, whose key is the history of digests."""
    with prefect() as server:
        server.create_artifact(
            ArtifactCreate(
                key=KEY,
                type="markdown",
                data=text,
                description=summary,
                flow_run_id=UUID(str(flow_run.id)),
            )
        )


def markdown(digest: Digest, time_zone: str) -> str:
    """The digest for people. Has counts and no names of leads."""
    since, until = (f"{each.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M}" for each in (digest.since, digest.until))
    needs = [f"- {each}" for each in needs_a_person(digest)] or ["Nothing."]
    rows = ["| Cleanup | Organisation | Runs | What came of it | Leads |", "|---|---|---|---|---|", *_rows(digest)]
    return "\n\n".join(
        [
            f"## Cleanups from {since} to {until} ({time_zone})",
            "### Needs a person",
            "\n".join(needs),
            "### What each did",
            "\n".join(rows) if digest.runs else "No cleanup ran.",
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
            # A later run of the same has looked again at what an earlier one has left.
            if each.state.type == StateType.PAUSED or (each is runs[-1] and _has_failed(each, digest.until)):
                yield f"{_link(each)}, {each.state.name}: {escape(each.state.message or 'it says nothing.')}"


def _has_failed(ran: Ran, now: datetime) -> bool:
    begins = ran.run.expected_start_time
    never_began = ran.state.type in {StateType.SCHEDULED, StateType.PENDING} and not ran.run.run_count
    late = begins is not None and now - plain(begins) > LATE
    return ran.state.type in {StateType.FAILED, StateType.CRASHED} or (never_began and late)


def _rows(digest: Digest) -> Iterator[str]:
    for runs in _grouped(digest.runs):
        cleanup, live = runs[0].group
        organizations = {each.report.organization_id or "": None for each in runs if each.report}
        states = Counter(str(each.state.name) for each in runs)
        came = ", ".join(f"{number} {state}" for state, number in states.items())
        name = escape(cleanup) + ("" if live else " (dry run)")
        where = ", ".join(filter(None, organizations))
        yield f"| {name} | {where} | {len(runs)} | {came} | {_leads(runs, live=live)} |"


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
    url = url_for("flow-run", obj_id=ran.run.id) or f"/runs/flow-run/{ran.run.id}"
    return f"[{escape(ran.run.name)}]({url})"


def _cleanup(run: FlowRun, deployed: Mapping[UUID, DeploymentResponse]) -> str:
    found = deployed.get(run.deployment_id) if run.deployment_id else None
    return str(run.parameters.get("cleanup") or (found.name if found else AD_HOC))


def _is_scheduled(found: DeploymentResponse) -> bool:
    return not found.paused and any(each.active for each in found.schedules)


def _reports(server: SyncPrefectClient, due: FlowRunFilter) -> Iterator[tuple[UUID, RunReport]]:
    """The reports of the runs that were *due*, by the ids of the runs; of one run's, the latest comes last."""
    reports = ArtifactFilter.model_validate({"type": {"any_": ["markdown"]}, "key": {"like_": f"{PREFIX}-%"}})
    latest_first = partial(server.read_artifacts, artifact_filter=reports, sort=ArtifactSort.CREATED_DESC)
    for each in reversed(list(_all(partial(latest_first, flow_run_filter=due)))):
        with suppress(ValidationError):  # somebody else's artifact, or a later version's
            if each.flow_run_id and (found := BLOCK.search(str(each.data))):
                yield each.flow_run_id, read(found[1])


def _open_claims() -> Iterator[str]:
    """A line on each open claim whose run isn't running, and on each that can't be read."""
    claims, unreadable = ledger.list_unresolved()
    running = {"id": {"any_": [each.run_id for each in claims]}, "state": {"type": {"any_": [StateType.RUNNING]}}}
    with prefect() as server:
        at_it = {each.id for each in server.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(running))}
    yield from (each.line for each in claims if each.run_id not in at_it)
    yield from unreadable


def _all(read_page: Callable[..., list[Found]]) -> Iterator[Found]:
    """Everything that the pages of a list have."""
    offset = 0
    while page := read_page(limit=PAGE, offset=offset):
        yield from page
        offset += len(page)
