"""Deleting expired backups."""

import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from tasks.backup.archive import REPORT, Archive, archives
from tasks.backup.folder import Locked
from tasks.backup.lock import locked, run_of
from tasks.runs.outcomes import Outcome, Refused

SETTLED = {Outcome.DELETED, Outcome.REFUSED, Outcome.NOTHING_TO_DO}
"""The outcomes of runs that need their backup no longer: Close has deleted what is in it, or nothing was started."""


class Pruned(NamedTuple):
    """What became of the backups that have expired."""

    deleted: list[str]
    """The addresses of those that were deleted."""
    stayed: list[str]
    """A sentence for each that stays although it has expired, because it is needed or in use."""


def prune(
    url: str,
    organization_id: str | None,
    now: datetime,
    kept: timedelta,
    needed: Callable[[], Collection[str]],
    *,
    why: str = "its run isn't known to have ended",
) -> Pruned:
    """Delete the backups that have expired at *now*, of the organisation or of all.

    The backups of the runs that *needed* returns stay, for the reason *why*, and so do those in use, and what can't be
    read. Nothing is asked of *needed* unless one has expired. Leads without a manifest, left by a run that died, are
    deleted when they are older than backups are *kept*. Raises `Refused` if the storage fails, and
    `PrefectUnavailable`.
    """
    deleted: list[str] = []
    stayed: list[str] = []
    expired = [each for each in archives(url, organization_id) if _has_expired(each, now, kept)]
    stay = needed() if expired else ()
    for archive in expired:
        if run_of(archive) in stay:
            stayed.append(f"{archive.url} has expired, but stays: {why}.")
            continue
        try:
            with locked(archive, "a deletion of old backups"):
                if _has_expired(Archive.at(archive.url), now, kept):  # still, now that nobody else may write it
                    archive.delete()
                    deleted.append(archive.url)
        except Locked as error:
            stayed.append(str(error))
    return Pruned(deleted, stayed)


def unsettled(url: str) -> set[str]:
    """The runs whose report, kept in their backup, doesn't say that they no longer need it. Raises `Refused`.

    For where the ledger, which knows better, can't be asked.
    """
    return {run_of(each) for each in archives(url) if _outcome(each) not in SETTLED}


def _outcome(archive: Archive) -> str | None:
    """How the run ended by its report; None without one. Leads without a manifest were never relied on."""
    if not archive.is_sealed:
        return Outcome.NOTHING_TO_DO
    try:
        with archive.open(REPORT) as file:
            return json.load(file).get("outcome")
    except (OSError, ValueError, AttributeError):
        return None


def _has_expired(archive: Archive, now: datetime, kept: timedelta) -> bool:
    if not archive.is_sealed:
        return archive.holds_leads() and not archive.holds_leads(now - kept)
    try:
        manifest = archive.manifest
    except Refused:
        return False
    ours = archive.url.endswith(f"/{manifest.organization_id}/{manifest.flow_run_id}")
    return ours and manifest.keep_until < now
