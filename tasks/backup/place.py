"""Where backups may go: they are personal data, and must outlive the run."""

import re
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from tasks.backup.folder import Folder
from tasks.runs.outcomes import Refused

CHECKOUT = Path(__file__).parents[2]
MOUNTS = Path("/proc/self/mountinfo")
NEVER_LAST = {"overlay", "aufs", "tmpfs", "ramfs", "devtmpfs"}
"""File systems that go with their machine: a container's own layers, and memory."""
ELSEWHERE = "Set CLOSE_BACKUP_URL to storage that stays, such as s3://bucket/folder or gs://bucket/folder"


class Mount(NamedTuple):
    """A file system, and where it is mounted."""

    point: Path
    kind: str


def check_place(url: str, host: str | None, *, lasts: bool = False) -> bool:
    """Raise `Refused`, with the setting to change, where a backup at *url* would be lost or found by others.

    *host* names what deletes folders after the run, if anything does. Then a folder is accepted on a mounted volume
    only, and only if somebody vouches that it *lasts*, since a mount may go as well. Returns whether that was needed.
    """
    root = Folder.at(url)
    if "memory" in root.fs.protocol:
        raise Refused(f"Backups would go to {url}, which is lost when the run ends. {ELSEWHERE}.")
    if not root.is_local:
        return False
    path = Path(root.path).resolve()
    if path.is_relative_to(CHECKOUT.resolve()):
        raise Refused(
            f"Backups would go to {path}, inside the project's own checkout, where customers' data doesn't belong. "
            "Set CLOSE_BACKUP_URL to another folder, or leave it out."
        )
    if host is None:
        return False
    mount = mount_of(path, MOUNTS.read_text() if MOUNTS.exists() else "")
    if lasts and mount and mount.kind not in NEVER_LAST:
        return True
    raise Refused(
        f"Backups would go to the folder {path}, which {host} deletes after the run ({_why_it_may_go(mount)}). "
        f"{ELSEWHERE}; or to a folder on a mounted volume that outlives the run, and say so with "
        "CLOSE_BACKUP_FOLDER_LASTS=true."
    )


def _why_it_may_go(mount: Mount | None) -> str:
    if mount is None:
        return "it is on no mounted volume"
    if mount.kind in NEVER_LAST:
        return f"{mount.point} is {mount.kind}, which never lasts"
    return f"{mount.point} is mounted, but a mount may go as well"


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """What *path*, an absolute one, is mounted on, by the text of ``/proc/self/mountinfo``; None if that is the root.

    Of several mounted in one place, the last one covers the others.
    """
    found = [each for each in map(_mount, mountinfo.splitlines()) if path.is_relative_to(each.point)]
    deepest = max(reversed(found), key=lambda each: len(each.point.parts), default=None)
    return deepest if deepest and deepest.point != Path("/") else None


def _mount(line: str) -> Mount:
    """A line is: id, parent, device, root, mount point, options, optional fields, a dash, type, source, options."""
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])  # a space is \040
    return Mount(Path(point), after.split()[0])


def try_place(url: str) -> None:
    """Write a file at *url* and delete it. Raises `Refused` if that fails, or if backups may not go there."""
    check_place(url, host=None)
    trial = Folder.at(f"{url.rstrip('/')}/trial-{uuid4().hex[:8]}")
    trial.write("trial", "")
    trial.delete()
