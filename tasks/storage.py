"""Where backups may go: they are personal data, and must outlive the run."""

import os
from pathlib import Path

from tasks.close.settings import CloseSettings
from tasks.connect import prefect
from tasks.folder import Folder
from tasks.outcomes import Refused
from tasks.run import Run

CHECKOUT = Path(__file__).parents[1]
CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
ON_THE_HOST = "process"
"""The type of work pools whose runs share their machine, and its folders, with the worker."""
ELSEWHERE = "Set CLOSE_BACKUP_URL to storage that stays, such as s3://bucket/folder or gs://bucket/folder."


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


def check_place(url: str, taken_away_by: str | None) -> None:
    """Raise `Refused`, with the setting to change, where a backup at *url* would be lost or found by others."""
    root = Folder.at(url)
    if "memory" in root.fs.protocol:
        raise Refused(f"Backups would go to {url}, which is gone when the run ends. {ELSEWHERE}")
    if not root.is_local:
        return
    path = Path(root.path).resolve()
    if path.is_relative_to(CHECKOUT.resolve()):
        raise Refused(
            f"Backups would go to {path}, inside the project's own checkout, where customers' data doesn't belong. "
            "Set CLOSE_BACKUP_URL to another folder, or leave it out."
        )
    if taken_away_by:
        raise Refused(f"Backups would go to the folder {path}, which {taken_away_by} takes away with it. {ELSEWHERE}")
