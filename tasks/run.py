"""Which run this is, and the instant it stands for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run

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

    def deployed(self) -> dict[str, Any]:
        """The parameters of the deployment that this run belongs to, whatever the run itself was given."""
        if self.deployment_id is None:
            return {}
        with get_client(sync_client=True) as prefect:
            return prefect.read_deployment(self.deployment_id).parameters


def this_run(cleanup: str | None = None) -> Run:
    """The flow run in which this is called. *cleanup* overrides the deployment's name.

    Raises RuntimeError outside a flow run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("this_run() is called in a flow only")
    run = context.flow_run
    started = run.start_time or datetime.now(UTC)
    expected = run.expected_start_time or started
    return Run(
        id=run.id,
        as_of=cut_off(run.id, min(expected, started)),
        cleanup=cleanup or deployment.get_name() or AD_HOC,
        deployment_id=run.deployment_id,
    )


def run_name() -> str:
    """What Prefect calls the run: its cleanup and its mode."""
    parameters: dict[str, object] = flow_run.get_parameters()
    mode = "dry run" if parameters.get("dry_run", True) else "delete"
    return f"{parameters.get('cleanup') or deployment.get_name() or AD_HOC}: {mode}"


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
