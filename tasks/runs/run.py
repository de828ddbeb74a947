"""Which run this is, and the cut-off of its relative times."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.utilities.collections import get_from_dict

from tasks.runs.connect import plain, prefect, read_settings
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused

AD_HOC = "ad-hoc"
TAG = "lead-cleanup"
"""The tag of what is ours in Prefect: deployments with their runs, and Variables."""
ORGANIZATION = "orga_"
"""What the tag of a run begins with that says in which organisation it is."""
ORGANIZATION_NAME = "organization:"
"""What the tag of a deployment begins with that says what its organisation is called in organizations.yaml."""
GUARDS = "close.deployed_guards"
"""What a run's context calls the keep rules, limits and approval of the deployment that it was started from."""


@dataclass(frozen=True)
class Run:
    """A flow run, as far as a cleanup cares."""

    id: UUID
    as_of: datetime
    """The cut-off (UTC): see `cut_offs`."""
    cleanup: str
    """The deployment's name, or ``ad-hoc``."""
    updated_before: datetime | None = None
    """The cut-off's second with the run's second mark, for the clause on ``date_updated``; None: the cut-off."""
    deployment_id: UUID | None = None
    late: timedelta = timedelta()
    """How late the run first started."""
    attempt: int = 1
    """Which attempt this is. Resuming after a suspension doesn't begin a new one."""
    live: bool = False
    """Whether it may change something in Close: no dry run."""
    guards: str | None = None
    """What `guards_context` has stored with a run that belongs to no deployment."""


def this_run(cleanup: str | None = None) -> Run:
    """The current flow run. *cleanup* overrides what `cleanup_of` says. Raises RuntimeError outside a flow run."""
    found = this_flow_run()
    return run_of(found, cleanup or cleanup_of(found))


def this_flow_run() -> FlowRun:
    """Prefect's current flow run, as it began. Raises RuntimeError outside a flow run."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("there is no flow run")
    return context.flow_run


def run_of(flow_run: FlowRun, cleanup: str) -> Run:
    """*flow_run* as a run of *cleanup*."""
    started = plain(flow_run.start_time or datetime.now(UTC))
    expected = plain(flow_run.expected_start_time or started)
    as_of, updated_before = cut_offs(flow_run.id, min(expected, started))
    return Run(
        id=flow_run.id,
        as_of=as_of,
        cleanup=cleanup,
        updated_before=updated_before,
        deployment_id=flow_run.deployment_id,
        late=started - expected,
        attempt=flow_run.run_count,
        live=not flow_run.parameters.get("dry_run", True),
        guards=flow_run.context.get(GUARDS) if flow_run.context else None,
    )


def tag(run: Run, organization_id: str, *, dry_run: bool) -> None:
    """Tag *run* with its organisation, by which other runs know whether to wait for it, and as a dry run or a live one.

    The tags that it has stay: automations go by them. A label would take two seconds on SQLite: the server refuses it
    while it records a task, and Prefect's client waits that long before it tries again.
    """
    ours = {organization_id, "dry-run" if dry_run else "live"}
    with log_if_it_fails("Tagging the run"), prefect() as server:
        tags = {*server.read_flow_run(run.id).tags}
        if not ours <= tags:
            server.update_flow_run(run.id, tags=sorted(tags | ours))


def check_organization(run: Run) -> None:
    """Raise `Refused` unless the run's settings name the organisation that its deployment does, if that names one.

    Job variables can be overridden run by run, and a work pool can leave them out: then the key of another organisation
    might be used, and nothing would be left to prove it by.
    """
    if run.deployment_id is None:
        return
    with prefect() as server:
        deployed = server.read_deployment(run.deployment_id)
    wanted: str | None = get_from_dict(deployed.job_variables or {}, "env.CLOSE_ORGANIZATION_ID")
    found = read_settings().organization_id if wanted else None
    if wanted != found:
        raise Refused(
            f"The deployment {deployed.name} is for {wanted}, but this run's CLOSE_ORGANIZATION_ID is "
            f"{found or 'not set'}: don't override it in job variables."
        )


def deployed_parameters(run: Run) -> dict[str, Any] | None:
    """The parameters of the deployment that *run* belongs to or was started from, not the run's own; None without one.

    The command line's are those of ``prefect.yaml``, as `guards_context` stores them.
    """
    if run.deployment_id:
        with prefect() as server:
            return server.read_deployment(run.deployment_id).parameters
    return json.loads(run.guards) if run.guards else None


def guards_context(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The context of a run that belongs to no deployment: the *parameters* of the one that it was started from.

    A run is created with its context in one request; labels would need a second one, which can fail.
    """
    return {GUARDS: json.dumps(dict(parameters), default=str)}


def cleanup_of(flow_run: FlowRun) -> str:
    """The name of the cleanup that *flow_run* is a run of."""
    if given := flow_run.parameters.get("cleanup"):
        return str(given)
    if flow_run.deployment_id is None:
        return AD_HOC
    with prefect() as server:
        return server.read_deployment(flow_run.deployment_id).name


def cut_offs(run_id: UUID, start: datetime) -> tuple[datetime, datetime]:
    """The second before *start*, twice, with milliseconds taken from different digits of the run's id.

    These are the run's two marks, by which its bulk delete is known: two runs that are due in one second share both
    once in a million. Prefect keeps the expected start over retries and resumes, so every attempt has the same.
    It is the second before, since leads edited between the plan and a later cut-off would not be spared.
    """
    second = start.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=1)
    first, other = run_id.int % 1000, run_id.int // 1000 % 1000
    return second + timedelta(milliseconds=first), second + timedelta(milliseconds=other)
