"""The schedules of a deployment: the file says which there are, and either the file or a person can pause one.

A schedule is known by its slug. It is active only if both prefect.yaml and Prefect say so, so that deploying never
undoes a person's pause. One that the file no longer has is paused. One without a slug was added in Prefect, and stays.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import BaseModel, ConfigDict, Field, model_validator

OUR_FIELDS = ("slug", "active", "parameters", "replaces")


class Schedule(BaseModel):
    """A schedule in prefect.yaml: when, and what it is called."""

    model_config = ConfigDict(extra="forbid")

    slug: str = Field(min_length=1)
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    replaces: str | None = None
    when: CronSchedule | IntervalSchedule | RRuleSchedule

    @model_validator(mode="before")
    @classmethod
    def _when_apart(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        entry = cast("dict[str, Any]", given)
        ours = {key: value for key, value in entry.items() if key in OUR_FIELDS}
        return {**ours, "when": {key: value for key, value in entry.items() if key not in OUR_FIELDS}}


def lost(found: DeploymentResponse, wanted: Iterable[Schedule]) -> list[DeploymentSchedule]:
    """Those with a slug that the file no longer has."""
    known = {slug for each in wanted for slug in (each.slug, each.replaces)}
    return [each for each in found.schedules if each.slug and each.slug not in known]


def pause(prefect: SyncPrefectClient, found: DeploymentResponse, schedules: Iterable[DeploymentSchedule]) -> None:
    """Pause those of *schedules* that are active."""
    for each in schedules:
        if each.active:
            prefect.update_deployment_schedule(found.id, each.id, active=False)


def apply(prefect: SyncPrefectClient, found: DeploymentResponse, wanted: Iterable[Schedule]) -> Iterator[str]:
    """Make the schedules what the file says, and yield whether each is active, or paused and why."""
    by_slug = {each.slug: each for each in found.schedules if each.slug}
    for each in wanted:
        there = by_slug.get(each.slug) or by_slug.get(each.replaces or each.slug)
        if there is None:
            prefect.create_deployment_schedules(
                found.id,
                [
                    DeploymentScheduleCreate(
                        schedule=each.when, active=each.active, parameters=each.parameters, slug=each.slug
                    )
                ],
            )
        else:
            prefect.update_deployment_schedule(
                found.id,
                there.id,
                schedule=each.when,
                parameters=each.parameters,
                slug=each.slug,
                active=None if each.active else False,  # None leaves it as it is
            )
        paused_by_somebody = there is not None and not there.active
        yield f"{each.slug} ({when(each.when)}){_how(each, paused_by_somebody)}"
    for added in found.schedules:
        if not added.slug:
            yield f"one added in Prefect ({when(added.schedule)}), which stays{'' if added.active else ', paused'}"


def _how(wanted: Schedule, paused_by_somebody: bool) -> str:
    if not wanted.active:
        return " is paused"
    return " stays paused, as in Prefect: resume it there" if paused_by_somebody else ""


def when(schedule: object) -> str:
    """When a schedule is due, in the words of prefect.yaml: ``0 10 * * 2, Europe/Berlin``."""
    match schedule:
        case CronSchedule():
            rule = schedule.cron
        case IntervalSchedule():
            rule = f"every {schedule.interval}"
        case RRuleSchedule():
            rule = schedule.rrule
        case _:
            return "never"
    return f"{rule}, {schedule.timezone or 'UTC'}"
