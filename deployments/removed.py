"""What prefect.yaml no longer has: deployments with our tag, and schedules with a slug.

They are paused before anything new is scheduled, so that never both run, and deleted only after a yes.
"""

from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.client.schemas.responses import DeploymentResponse

from deployments import schedules
from deployments.prefect_yaml import Deployment, PrefectYaml
from flows.console.asking import ask_whether, somebody_is_there

TAG = "lead-cleanup"


def pause_or_delete(prefect: SyncPrefectClient, file: PrefectYaml, *, prune: bool) -> Iterator[str]:
    """Pause what *file* lacks, delete it if *prune* or the person at the terminal says so; yield a sentence on each."""
    ours = {each.full_name: each for each in file.deployments}
    for found in _deployed(prefect):
        flow = prefect.read_flow(found.flow_id).name
        if kept := ours.get(f"{flow}/{found.name}"):
            yield from _lost_schedules(prefect, found, kept, prune=prune)
        elif TAG in found.tags:
            yield from _lost_deployment(prefect, found, prune=prune)


def _lost_schedules(
    prefect: SyncPrefectClient, found: DeploymentResponse, kept: Deployment, *, prune: bool
) -> Iterator[str]:
    for lost in schedules.lost(found, kept.schedules):
        schedules.pause(prefect, found, [lost])
        about = f"{found.name}: its schedule {lost.slug} ({schedules.when(lost.schedule)}) is no longer in prefect.yaml"
        if _may_delete(about, prune=prune):
            prefect.delete_deployment_schedule(found.id, lost.id)
            yield f"{about}, and is deleted."
        else:
            yield f"{about}, and is paused."


def _lost_deployment(prefect: SyncPrefectClient, found: DeploymentResponse, *, prune: bool) -> Iterator[str]:
    schedules.pause(prefect, found, found.schedules)
    about = f"{found.name} is no longer in prefect.yaml"
    if _is_under_way(prefect, found):
        yield f"{about}: its schedules are paused. It has a run that has not ended, so it isn't deleted."
    elif _may_delete(about, prune=prune):
        prefect.delete_deployment(found.id)
        yield f"{about}, and is deleted; its reports stay."
    else:
        yield f"{about}: its schedules are paused."


def _may_delete(about: str, *, prune: bool) -> bool:
    return prune or (somebody_is_there() and ask_whether(f"{about}. Delete it?", otherwise="pauses it"))


def _is_under_way(prefect: SyncPrefectClient, found: DeploymentResponse) -> bool:
    """Whether a run of it, other than those that its schedules will start, has not ended."""
    runs = prefect.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*set(StateType) - TERMINAL_STATES])),
        )
    )
    return any(not (run.auto_scheduled and run.run_count == 0) for run in runs)


def _deployed(prefect: SyncPrefectClient) -> list[DeploymentResponse]:
    """All deployments on the server, by name."""
    found: list[DeploymentResponse] = []
    while page := prefect.read_deployments(limit=200, offset=len(found)):
        found += page
    return sorted(found, key=lambda each: each.name)
