"""What prefect.yaml and organizations.yaml no longer have: deployments with our tag, and schedules with a slug.

They are paused before anything new is scheduled, so that never both run. They are deleted last, and only after a yes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, DeploymentSchedule, StateType
from prefect.client.schemas.responses import DeploymentResponse

from deployments import organizations, schedules
from deployments.prefect_yaml import PrefectYaml
from flows.console.asking import ask_whether, somebody_is_there
from tasks.runs.run import ORGANIZATION_NAME, TAG


class Removed(NamedTuple):
    """A deployment that the file no longer has, or a schedule of one that it has."""

    deployment: DeploymentResponse
    schedule: DeploymentSchedule | None = None
    left_out: bool = False
    """Whether prefect.yaml has it, and organizations.yaml says that it isn't deployed."""

    @property
    def name(self) -> str:
        """What it is, with its name."""
        schedule = f": its schedule {self.schedule.slug}" if self.schedule else ""
        return f"{self.deployment.name}{schedule}"

    @property
    def _why(self) -> str:
        if self.left_out:
            return "is no longer deployed (deploy_prefect_yaml: false)"
        named = any(tag.startswith(ORGANIZATION_NAME) for tag in self.deployment.tags)
        return f"is no longer in {organizations.FILE.name if named else 'prefect.yaml'}"

    def pause(self, prefect: SyncPrefectClient, *, prune: bool) -> str:
        """Pause it, and return a sentence that says so, and how to delete it if that isn't to follow by *prune*."""
        lost = [self.schedule] if self.schedule else self.deployment.schedules
        schedules.pause(prefect, self.deployment, lost)
        when = f" ({schedules.when(self.schedule.schedule)})" if self.schedule else ""
        paused = ", so it is paused" if self.schedule else ", so its schedules are paused" if lost else ""
        return f"{self.name}{when} {self._why}{paused}{'' if prune else ': make deploy PRUNE=1 deletes it'}."

    def delete(self, prefect: SyncPrefectClient, *, prune: bool) -> str | None:
        """Delete it if *prune*, or the person at the terminal, says so; return what is to be said of it."""
        if self.schedule is None and is_under_way(prefect, self.deployment):
            return f"{self.name} has a run that has not ended, so it isn't deleted."
        if not prune and not (
            somebody_is_there() and ask_whether(f"Delete in Prefect? {self.name}.", otherwise="leaves it paused")
        ):
            return None
        if self.schedule:
            prefect.delete_deployment_schedule(self.deployment.id, self.schedule.id)
            return f"{self.name} is deleted."
        prefect.delete_deployment(self.deployment.id)
        return f"{self.name} is deleted; its reports stay."


def find(deployed: dict[str, DeploymentResponse], file: PrefectYaml) -> Iterator[Removed]:
    """What is *deployed*, by the full name of each deployment, and no longer in the *file*."""
    ours = {each.full_name: each for each in file.deployments}
    for name, found in sorted(deployed.items()):
        if kept := ours.get(name):
            yield from (Removed(found, each) for each in schedules.lost(found, kept.schedules))
        elif TAG in found.tags:
            yield Removed(found, left_out=name in file.left_out)


def is_under_way(prefect: SyncPrefectClient, deployment: DeploymentResponse) -> bool:
    """Whether a run of it, other than those that its schedules will start, has not ended."""
    runs = prefect.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*set(StateType) - TERMINAL_STATES])),
        )
    )
    return any(not (run.auto_scheduled and run.run_count == 0) for run in runs)
