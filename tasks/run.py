"""Which run this is, whose attempt, and the instant it stands for."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run

from tasks.close.settings import CloseSettings
from tasks.connect import plain, prefect

AD_HOC = "ad-hoc"
CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
ON_THE_HOST = "process"
"""The type of work pools whose runs share their machine, and its folders, with the worker."""
BY_AUTOMATION = "Tried again by the automation of lead-cleanup."
"""The message of the state into which deployments/automations.yaml puts a crashed run; a test holds the two together.
By it an attempt knows that no person has asked for it."""


@dataclass(frozen=True)
class Run:
    """A flow run, as far as a cleanup cares."""

    id: UUID
    as_of: datetime
    """The cut-off (UTC): see `cut_off`."""
    cleanup: str
    """The deployment's name, or ``ad-hoc``."""
    deployment_id: UUID | None = None
    late: timedelta = timedelta()
    """How long after it was due the run first started."""
    attempt: int = 1
    """Which attempt this is. One after a suspension counts as the same."""

    def deployed(self) -> dict[str, Any]:
        """The parameters of the deployment that this run belongs to, whatever the run itself was given."""
        if self.deployment_id is None:
            return {}
        with prefect() as server:
            return server.read_deployment(self.deployment_id).parameters

    def states(self) -> list[State[Any]]:
        """The states that this run has had, in no order."""
        with prefect() as server:
            return server.read_flow_run_states(self.id)

    def tried_again_by_person(self) -> bool:
        """Whether this attempt is one that a person has asked for, after an earlier one."""
        return self.attempt > 1 and not tries_by_automation(self.states())


def what_takes_folders_away(run: Run, known: CloseSettings) -> str | None:
    """What it is that takes the folders of the machine that *run* is on away with it, if anything does.

    Nothing counts against the sandbox, whose leads are made up. Raises `PrefectAway`.
    """
    if known.on_this_machine:
        return None
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "Kubernetes"
    if any(each.exists() for each in CONTAINERS):
        return "a container"
    if run.deployment_id is None:
        return None
    with prefect() as server:
        pool = server.read_flow_run(run.id).work_pool_name
        kind = server.read_work_pool(pool).type if pool else ON_THE_HOST
    return None if kind == ON_THE_HOST else f"a work pool of the type {kind}"


def tries_by_automation(states: Iterable[State[Any]]) -> int:
    """How often in a row, up to the last time, it was an automation that had the run of these *states* tried again."""
    return len(_by_automation(states))


def last_asked(states: Iterable[State[Any]]) -> datetime | None:
    """When a person last let the run of these *states* go on, as by an approval; None if nobody has."""
    asked = (plain(state.timestamp) for _, state in _put_back(states) if state.message != BY_AUTOMATION)
    return next(asked, None)


def ended_before(states: Iterable[State[Any]]) -> State[Any] | None:
    """How the run of these *states* had ended, if an automation had it tried again though it hadn't crashed.

    Prefect may carry out an action more than once, or when its reason is gone; and it lets go on what has completed, or
    was cancelled, as well as what has crashed.
    """
    return next((stood for stood in _by_automation(states) if stood.is_final() and not stood.is_crashed()), None)


def _by_automation(states: Iterable[State[Any]]) -> list[State[Any]]:
    """How the run stood each time that an automation let it go on, newest first, since a person last did."""
    return [stood for stood, _ in takewhile(lambda each: each[1].message == BY_AUTOMATION, _put_back(states))]


def _put_back(states: Iterable[State[Any]]) -> list[tuple[State[Any], State[Any]]]:
    """Each time that somebody let the run go on, newest first: how it stood, and the state that it was put into.

    Prefect itself makes a run that waits for its turn scheduled once more, and gives no message: nobody has asked.
    """
    waiting = {StateType.SCHEDULED, StateType.PENDING}
    history = sorted(states, key=lambda state: state.timestamp, reverse=True)
    return [(old, new) for new, old in pairwise(history) if new.type == StateType.SCHEDULED and old.type not in waiting]


def this_run(cleanup: str | None = None) -> Run:
    """The flow run in which this is called. *cleanup* overrides the deployment's name.

    Raises RuntimeError outside a flow run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("this_run() is called in a flow only")
    return run_of(context.flow_run, cleanup or deployment.get_name() or AD_HOC)


def run_of(found: FlowRun, cleanup: str) -> Run:
    """*found*, as Prefect stores it, as a run of *cleanup*."""
    started = plain(found.start_time or datetime.now(UTC))
    expected = plain(found.expected_start_time or started)
    return Run(
        id=found.id,
        as_of=cut_off(found.id, min(expected, started)),
        cleanup=cleanup,
        deployment_id=found.deployment_id,
        late=started - expected,
        attempt=found.run_count,
    )


def cleanup_of(found: FlowRun) -> str:
    """The name of the cleanup that *found*, as Prefect stores it, is a run of."""
    if given := found.parameters.get("cleanup"):
        return str(given)
    if found.deployment_id is None:
        return AD_HOC
    with prefect() as server:
        return server.read_deployment(found.deployment_id).name


def run_name() -> str:
    """What Prefect calls the run: its cleanup and its mode."""
    parameters: dict[str, object] = flow_run.get_parameters()
    mode = "dry run" if parameters.get("dry_run", True) else "delete"
    return f"{parameters.get('cleanup') or deployment.get_name() or AD_HOC}: {mode}"


def restore_name() -> str:
    """What Prefect calls a restore: its mode."""
    return "restore: dry run" if flow_run.get_parameters().get("dry_run", True) else "restore"


def cut_off(run_id: UUID, start: datetime) -> datetime:
    """The second before *start*, marked with the run: the milliseconds are taken from its id.

    Prefect keeps the expected start over retries and resumes, so every attempt reckons from the same instant; and two
    runs of one schedule tick can be told apart. The second before, since a mark ahead of *start* would let through
    leads that are edited between the plan and the mark.
    """
    second = start.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=1)
    return second + timedelta(milliseconds=run_id.int % 1000)


def slug(*words: str) -> str:
    """*words* as part of an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, words)).lower()).strip("-")
