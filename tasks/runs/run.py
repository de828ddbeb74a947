"""Which run this is, and the instant it stands for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run

from tasks.runs.connect import plain, prefect

AD_HOC = "ad-hoc"


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


def deployed_parameters(run: Run) -> dict[str, Any]:
    """The parameters of the deployment that *run* belongs to, without the run's own; empty for an ad hoc run."""
    if run.deployment_id is None:
        return {}
    with prefect() as server:
        return server.read_deployment(run.deployment_id).parameters


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
