"""Deleting the backups whose time is over."""

from collections.abc import Collection
from datetime import datetime, timedelta

from tasks.backup.archive import Archive, archives
from tasks.runs.outcomes import Refused


def prune(
    url: str, organization_id: str | None, now: datetime, kept: timedelta, needed: Collection[str] = ()
) -> list[str]:
    """Delete the backups whose time is over at *now*: of the organisation, or of all. Gives the addresses of those.

    Those that are still *needed*, by their addresses, stay.
    Leads that no manifest vouches for, left by a run that died, go when they are older than what is *kept*. What can't
    be read is left alone. Raises `Refused` when the storage fails.
    """
    gone: list[str] = []
    for archive in archives(url, organization_id):
        if archive.url not in needed and _is_over(archive, now, kept):
            archive.delete()
            gone.append(archive.url)
    return gone


def _is_over(archive: Archive, now: datetime, kept: timedelta) -> bool:
    if not archive.is_there:
        return archive.holds_leads() and not archive.holds_leads(now - kept)
    try:
        manifest = archive.manifest
    except Refused:
        return False
    ours = archive.url.endswith(f"/{manifest.organization_id}/{manifest.flow_run_id}")
    return ours and manifest.keep_until < now
