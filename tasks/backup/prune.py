"""Deleting expired backups."""

from collections.abc import Collection
from datetime import datetime, timedelta

from tasks.backup.archive import Archive, archives
from tasks.runs.outcomes import Refused


def prune(
    url: str, organization_id: str | None, now: datetime, kept: timedelta, needed: Collection[str] = ()
) -> list[str]:
    """Delete the backups that have expired at *now*, of the organisation or of all, and return their addresses.

    The addresses that are still *needed* stay, and what can't be read. Leads without a manifest, left by a run that
    died, are deleted when they are older than backups are *kept*. Raises `Refused` if the storage fails.
    """
    deleted: list[str] = []
    for archive in archives(url, organization_id):
        if archive.url not in needed and _has_expired(archive, now, kept):
            archive.delete()
            deleted.append(archive.url)
    return deleted


def _has_expired(archive: Archive, now: datetime, kept: timedelta) -> bool:
    if not archive.is_there:
        return archive.holds_leads() and not archive.holds_leads(now - kept)
    try:
        manifest = archive.manifest
    except Refused:
        return False
    ours = archive.url.endswith(f"/{manifest.organization_id}/{manifest.flow_run_id}")
    return ours and manifest.keep_until < now
