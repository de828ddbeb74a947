"""The overview: how the latest run of each deployment ended, in every organisation, and which of them need a person.

It asks Prefect only, so that no organisation's key or Close can stop it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from tasks.report.artifacts import PREFIX, publish
from tasks.report.escaping import escape, table
from tasks.report.links import page_of_run
from tasks.runs import stop
from tasks.runs.connect import plain, prefect
from tasks.runs.retries import once, reads
from tasks.runs.run import ORGANIZATION_NAME, TAG, Run
from tasks.runs.wording import MINUTE, counted
from tasks.summary.attention import abandoned_claims, deployments, why_a_person

KEY = f"{PREFIX}-overview"
NO_NAME = "prefect.yaml"
"""Stands for the organisation of the deployments that organizations.yaml doesn't name."""
LOOKS_BACK = timedelta(days=35)
"""The rarest schedule that prefect.yaml ships is monthly. What failed before that and never ran again is history."""
OPEN_CLAIM = "It isn't known how its bulk delete ended; until then no live run starts in this organisation."
LONGEST = 300  # characters of a state's message


@dataclass(frozen=True)
class Latest:
    """A deployment's latest run; or one that waits for a person, or whose claim is open."""

    organization: str
    cleanup: str
    run_id: UUID | None = None
    due: datetime | None = None
    state: str = ""
    needs: str = ""
    """Why a person is needed; empty if nobody is."""
    paused: bool = False
    """Whether the deployment, or each of its schedules, is paused."""


@reads
def read_latest_runs(now: datetime) -> list[Latest]:
    """Each deployment's latest run that was due by *now*, and what else needs a person."""
    with prefect() as server:
        deployed: dict[UUID | None, DeploymentResponse] = {each.id: each for each in deployments(server)}
        latest = {each: _runs(server, now, limit=1, deployment_id={"any_": [each]}) for each in deployed}
        waiting = _runs(server, now, tags={"all_": [TAG]}, state={"type": {"any_": ["PAUSED"]}})
        runs = {each.id: each for each in (*chain.from_iterable(latest.values()), *waiting)}
        never = [each for each in deployed.values() if not latest[each.id]]
        found = [Latest(organization_of(each.tags), each.name, paused=is_paused(each)) for each in never]
        ran = [(deployed[each.deployment_id], each) for each in runs.values() if each.deployment_id in deployed]
        found += [_latest(deployment, run, now) for deployment, run in ran]
        said = {each.run_id for each in found if each.needs}
        return [*found, *_claims(server, deployed, said)]


def _runs(server: SyncPrefectClient, now: datetime, limit: int | None = None, **wanted: Any) -> list[FlowRun]:
    due = {"before_": now, "after_": now - LOOKS_BACK}
    return server.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"expected_start_time": due, **wanted}),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
    )


def _latest(deployment: DeploymentResponse, run: FlowRun, now: datetime) -> Latest:
    due = plain(run.expected_start_time) if run.expected_start_time else None
    organization, needs = organization_of(deployment.tags), why_a_person(run, now)
    return Latest(organization, deployment.name, run.id, due, str(run.state_name), needs, is_paused(deployment))


def _claims(
    server: SyncPrefectClient, deployed: Mapping[UUID | None, DeploymentResponse], said: set[UUID | None]
) -> Iterator[Latest]:
    """The claims whose run won't continue by itself and isn't among those *said* already."""
    names = {tag: organization_of(each.tags) for each in deployed.values() for tag in each.tags}
    claims, unreadable = abandoned_claims(server)
    for claim, run in claims:
        if claim.run_id not in said:
            organization = names.get(claim.organization_id, claim.organization)
            state = str(run.state_name) if run else "Deleted in Prefect"
            yield Latest(organization, claim.cleanup, claim.run_id, claim.claimed_at, state, OPEN_CLAIM)
    yield from (Latest(NO_NAME, "ledger", needs=sentence) for sentence in unreadable)


def is_paused(deployment: DeploymentResponse) -> bool:
    """Whether the deployment is paused as a whole, or has schedules and each is paused."""
    return deployment.paused or (bool(deployment.schedules) and not any(each.active for each in deployment.schedules))


def organization_of(tags: Iterable[str]) -> str:
    """What organizations.yaml calls the organisation of a deployment with these *tags*."""
    named = (tag.removeprefix(ORGANIZATION_NAME) for tag in tags if tag.startswith(ORGANIZATION_NAME))
    return next(named, NO_NAME)


@once
def publish_overview(run: Run, found: list[Latest]) -> None:
    """Publish what was *found* under one key, so that its page is the history."""
    publish(run.id, "markdown", page(found, stop.sentence()), key=KEY, description=headline(found))


def headline(found: Iterable[Latest]) -> str:
    """Which organisations need a person."""
    names = sorted({each.organization for each in found if each.needs})
    verb = "needs" if len(names) == 1 else "need"
    return f"{counted(len(names), 'organisation')} {verb} a person: {', '.join(names)}" if names else "Nobody is needed"


def page(found: list[Latest], stopped: str | None = None) -> str:
    """The overview as markdown; *stopped* says that cleanups are stopped."""
    ordered = sorted(found, key=lambda each: (each.organization, each.cleanup))
    needed = [
        f"- **{escape(each.organization)}**: {_link(each)}, {escape(each.state)}. {escape(each.needs[:LONGEST])}"
        for each in ordered
        if each.needs
    ]
    rows = ((escape(each.organization), _name(each), _when(each), escape(each.state)) for each in ordered)
    latest = table(("Organisation", "Cleanup", "Latest run", "How it ended"), rows)
    parts = [escape(stopped or ""), f"## {escape(headline(found))}", "\n".join(needed), latest]
    return "\n\n".join(filter(None, parts)) + "\n"


def _when(each: Latest) -> str:
    return f"{each.due.astimezone(UTC):{MINUTE}}" if each.due else "none yet"


def _name(each: Latest) -> str:
    return f"{_link(each)} (paused)" if each.paused else _link(each)


def _link(each: Latest) -> str:
    name = escape(each.cleanup)
    return f"[{name}]({page_of_run(each.run_id)})" if each.run_id else name
