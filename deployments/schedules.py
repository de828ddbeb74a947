"""The schedules of a deployment: the file says which there are, and either the file or a person can pause one.

A schedule is known by its slug. It is active only if both prefect.yaml and Prefect say so, so that deploying never
undoes a person's pause. One that the file no longer has is paused. One without a slug was added in Prefect, and stays.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator, model_validator

OUR_FIELDS = ("slug", "active", "parameters", "replaces")
KINDS = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
WRITE = {
    "cron": "write a cron expression, such as 0 6 * * 1-5",
    "interval": "write a number of seconds above 0",
    "rrule": "write a recurrence rule, such as FREQ=DAILY",
    "timezone": "write a time zone, such as Europe/Berlin",
    "anchor_date": "write an instant, such as 2026-01-01T06:00:00Z",
    "day_or": "write true or false",
}
"""What to write where Prefect refuses a setting of a schedule."""


class Schedule(BaseModel):
    """A schedule in prefect.yaml: when, and what it is called."""

    model_config = ConfigDict(extra="forbid")

    slug: str = Field(min_length=1)
    active: StrictBool = True
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

    @field_validator("when", mode="before")
    @classmethod
    def _of_one_kind(cls, given: dict[str, Any]) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        kinds = [kind for kind in KINDS if kind in given]
        if len(kinds) != 1:
            raise ValueError("write one of cron, interval and rrule")
        try:
            return KINDS[kinds[0]].model_validate(given)
        except ValidationError as error:
            wrong = str(error.errors(include_input=False)[0]["loc"][0])
            raise ValueError(f"{wrong}: {WRITE.get(wrong, 'there is no setting of this name')}") from None


def pairs(
    found: DeploymentResponse, wanted: Sequence[Schedule]
) -> Iterator[tuple[Schedule, DeploymentSchedule | None]]:
    """Each schedule of the file with the one on the server that it is, or that it replaces; None if there is none."""
    by_slug = {each.slug: each for each in found.schedules if each.slug}
    declared = {each.slug for each in wanted}
    replaceable = {slug: each for slug, each in by_slug.items() if slug not in declared}
    for each in wanted:
        yield each, by_slug.get(each.slug) or replaceable.pop(each.replaces or "", None)


def lost(found: DeploymentResponse, wanted: Sequence[Schedule]) -> list[DeploymentSchedule]:
    """Those with a slug that the file no longer has."""
    kept = [there.id for _, there in pairs(found, wanted) if there]
    return [each for each in found.schedules if each.slug and each.id not in kept]


def pause(prefect: SyncPrefectClient, found: DeploymentResponse, schedules: Iterable[DeploymentSchedule]) -> None:
    """Pause those of *schedules* that are active."""
    for each in schedules:
        if each.active:
            prefect.update_deployment_schedule(found.id, each.id, active=False)


def apply(prefect: SyncPrefectClient, found: DeploymentResponse, wanted: Sequence[Schedule]) -> Iterator[str]:
    """Make the schedules what the file says, and yield whether each is active, or paused and why."""
    for each, there in list(pairs(found, wanted)):
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
                schedule=_anchored(each.when, there.schedule),
                parameters=each.parameters,
                slug=each.slug,
                active=None if each.active else False,  # None leaves it as it is
            )
        paused_by_somebody = there is not None and not there.active
        yield f"{each.slug} ({when(each.when)}){_how(each, paused_by_somebody)}"
    for added in found.schedules:
        if not added.slug:
            yield f"one added in Prefect ({when(added.schedule)}), which stays{'' if added.active else ', paused'}"


def _anchored(wanted: CronSchedule | IntervalSchedule | RRuleSchedule, there: object) -> Any:
    """*wanted*, from the instant that *there* is counted from, if the file has none: else each deploy would move it."""
    if (
        isinstance(wanted, IntervalSchedule)
        and isinstance(there, IntervalSchedule)
        and "anchor_date" not in wanted.model_fields_set
    ):
        return wanted.model_copy(update={"anchor_date": there.anchor_date})
    return wanted


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
