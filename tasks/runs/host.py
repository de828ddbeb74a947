"""Whether the folders of the machine that a run is on outlive the run."""

import os
from pathlib import Path

from tasks.close.settings import CloseSettings
from tasks.runs.connect import prefect
from tasks.runs.run import Run

CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
ON_THE_HOST = "process"
"""The type of work pools whose runs share their machine, and its folders, with the worker."""


def container() -> str | None:
    """What contains this process, such as "a container", or None."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "Kubernetes"
    return "a container" if any(each.exists() for each in CONTAINERS) else None


def ephemeral_host(run: Run, settings: CloseSettings) -> str | None:
    """Why local folders won't outlive *run*, such as "a container", or None.

    Always None for the sandbox, whose leads are made up. Raises `PrefectUnavailable`.
    """
    if settings.on_this_machine:
        return None
    if contained := container():
        return contained
    if run.deployment_id is None:
        return None
    with prefect() as server:
        pool = server.read_flow_run(run.id).work_pool_name
        kind = server.read_work_pool(pool).type if pool else ON_THE_HOST
    return None if kind == ON_THE_HOST else f"a work pool of the type {kind}"
