"""The overview: how the latest run of each deployment ended, in every organisation, and which of them need a person.

It asks Prefect only, so that no organisation's key or Close can stop it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from tasks.ledger import store as ledger
from tasks.report.artifacts import PREFIX, publish
from tasks.report.escaping import escape
from tasks.runs.connect import plain, prefect
from tasks.runs.retries import once, reads
from tasks.runs.run import ORGANIZATION_NAME, Run
from tasks.runs.wording import MINUTE, counted

KEY = f"{PREFIX}-overview"
FLOWS = ["lead-cleanup", "restore-leads"]
NO_NAME = "prefect.yaml"
"""Stands for the organisation of the deployments that organizations.yaml doesn't name."""
LOOKS_BACK = timedelta(days=35)
"""The rarest schedule that prefect.yaml ships is monthly. What failed before that and never ran again is history."""
OPEN_CLAIM = "It isn't known how its bulk delete ended; until then no live run starts in this organisation."
LATE = timedelta(minutes=15)
LONGEST = 300  # characters of a state's message
PAGE = 200  # deployments; Prefect returns no more at a time


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


@reads
def read_latest_runs(now: datetime) -> list[Latest]:
    """Each deployment's latest run that was due by *now*, and what else needs a person."""
    with prefect() as server:
        deployments = list(_deployments(server))
        ours: dict[UUID | None, DeploymentResponse] = {each.id: each for each in deployments}
        runs = {each.id: _runs(server, now, limit=1, deployment_id={"any_": [each.id]}) for each in deployments}
        found = [_latest(each, *runs[each.id], now=now) for each in deployments]
        waiting = _runs(server, now, tags={"all_": [ledger.TAG]}, state={"type": {"any_": ["PAUSED"]}})
        shown = {each.run_id for each in found}
        found += [
            _latest(deployment, run, now=now)
            for run in waiting
            if run.id not in shown and (deployment := ours.get(run.deployment_id))
        ]
        return found + list(_open_claims(server, deployments, {each.run_id for each in found if each.needs}))


def _deployments(server: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    tagged = DeploymentFilter.model_validate({"tags": {"all_": [ledger.TAG]}})
    flows = FlowFilter.model_validate({"name": {"any_": FLOWS}})
    offset = 0
    while page := server.read_deployments(flow_filter=flows, deployment_filter=tagged, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def _runs(server: SyncPrefectClient, now: datetime, limit: int | None = None, **wanted: Any) -> list[FlowRun]:
    due = {"before_": now, "after_": now - LOOKS_BACK}
    return server.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"expected_start_time": due, **wanted}),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
    )


def _latest(deployment: DeploymentResponse, run: FlowRun | None = None, *, now: datetime) -> Latest:
    organization = organization_of(deployment.tags)
    if run is None or run.state is None or run.expected_start_time is None:
        return Latest(organization, deployment.name)
    due, state = plain(run.expected_start_time), run.state
    return Latest(organization, deployment.name, run.id, due, str(state.name), why_a_person(state, now - due))


def _open_claims(
    server: SyncPrefectClient, deployments: list[DeploymentResponse], said: set[UUID | None]
) -> Iterator[Latest]:
    """The claims whose run won't continue by itself and isn't among those *said* already."""
    names = {tag: organization_of(each.tags) for each in deployments for tag in each.tags}
    claims, unreadable = ledger.list_unresolved()
    ids = FlowRunFilter.model_validate({"id": {"any_": [each.run_id for each in claims]}})
    states = {each.id: each.state for each in server.read_flow_runs(flow_run_filter=ids)} if claims else {}
    for claim in claims:
        state = states.get(claim.run_id)
        if claim.run_id not in said and (state is None or state.is_final() or state.is_paused()):
            organization = names.get(claim.organization_id, claim.organization)
            name = str(state.name) if state else "Deleted in Prefect"
            yield Latest(organization, claim.cleanup, claim.run_id, claim.claimed_at, name, OPEN_CLAIM)
    yield from (Latest(NO_NAME, "ledger", needs=sentence) for sentence in unreadable)


def organization_of(tags: Iterable[str]) -> str:
    """What organizations.yaml calls the organisation of a deployment with these *tags*."""
    named = (tag.removeprefix(ORGANIZATION_NAME) for tag in tags if tag.startswith(ORGANIZATION_NAME))
    return next(named, NO_NAME)


def why_a_person(state: State[Any], late: timedelta) -> str:
    """Why a run in this *state*, due so long ago, needs a person; empty if it doesn't."""
    message = state.message or ""
    match state.type:
        case StateType.FAILED | StateType.CRASHED:
            return message or "It failed."
        case StateType.PAUSED:
            return message or "It waits for a person."
        case StateType.SCHEDULED if late > LATE and state.name == "Late":
            return "No worker has taken it up."
        case _:
            return ""


@once
def publish_overview(run: Run, found: list[Latest]) -> None:
    """Publish what was *found* under one key, so that its page is the history."""
    publish(run.id, "markdown", page(found), key=KEY, description=headline(found))


def headline(found: Iterable[Latest]) -> str:
    """Which organisations need a person."""
    names = sorted({each.organization for each in found if each.needs})
    verb = "needs" if len(names) == 1 else "need"
    return f"{counted(len(names), 'organisation')} {verb} a person: {', '.join(names)}" if names else "Nobody is needed"


def page(found: list[Latest]) -> str:
    """The overview as markdown."""
    ordered = sorted(found, key=lambda each: (each.organization, each.cleanup))
    needed = [
        f"- **{escape(each.organization)}**: {_link(each)}, {escape(each.state)}. {escape(each.needs[:LONGEST])}"
        for each in ordered
        if each.needs
    ]
    rows = [(escape(each.organization), _link(each), _when(each), escape(each.state)) for each in ordered]
    head = ["| Organisation | Cleanup | Latest run | How it ended |", "|---|---|---|---|"]
    table = [*head, *(f"| {' | '.join(row)} |" for row in rows)]
    blocks = [[f"## {escape(headline(found))}"], needed, table]
    return "\n\n".join("\n".join(each) for each in blocks if each) + "\n"


def _when(each: Latest) -> str:
    return f"{each.due.astimezone(UTC):{MINUTE}}" if each.due else "none yet"


def _link(each: Latest) -> str:
    name = escape(each.cleanup)
    return f"[{name}](/runs/flow-run/{each.run_id})" if each.run_id else name
