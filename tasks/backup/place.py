"""Where backups may go: they are personal data, and must outlive the run."""

from pathlib import Path
from uuid import uuid4

from tasks.backup.folder import Folder
from tasks.runs.outcomes import Refused

CHECKOUT = Path(__file__).parents[2]
ELSEWHERE = "Set CLOSE_BACKUP_URL to storage that stays, such as s3://bucket/folder or gs://bucket/folder."


def check_place(url: str, host: str | None) -> None:
    """Raise `Refused`, with the setting to change, where a backup at *url* would be lost or found by others."""
    root = Folder.at(url)
    if "memory" in root.fs.protocol:
        raise Refused(f"Backups would go to {url}, which is lost when the run ends. {ELSEWHERE}")
    if not root.is_local:
        return
    path = Path(root.path).resolve()
    if path.is_relative_to(CHECKOUT.resolve()):
        raise Refused(
            f"Backups would go to {path}, inside the project's own checkout, where customers' data doesn't belong. "
            "Set CLOSE_BACKUP_URL to another folder, or leave it out."
        )
    if host:
        raise Refused(f"Backups would go to the folder {path}, which {host} deletes after the run. {ELSEWHERE}")


def try_place(url: str) -> None:
    """Write a file at *url* and delete it. Raises `Refused` if that fails, or if backups may not go there."""
    check_place(url, host=None)
    trial = Folder.at(f"{url.rstrip('/')}/trial-{uuid4().hex[:8]}")
    trial.put("trial", "")
    trial.delete()
