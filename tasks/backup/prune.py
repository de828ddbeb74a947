"""Deleting expired backups."""

import json
import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from tasks.backup.archive import REPORT, Archive, archives
from tasks.backup.folder import Locked
from tasks.backup.lock import locked, run_of
from tasks.runs.outcomes import Outcome, Refused

logger = logging.getLogger(__name__)

SETTLED = {Outcome.DELETED, Outcome.REFUSED, Outcome.NOTHING_TO_DO}
"""The outcomes of runs that need their backup no longer: Close has deleted what is in it, or nothing was started."""


def prune(
    url: str,
    organization_id: str | None,
    now: datetime,
    kept: timedelta,
    needed: Callable[[], Collection[str]] = tuple,
    *,
    why: str = "its run isn't known to have ended",
    tell: Callable[[str], object] = logger.info,
) -> list[str]:
    """Delete the backups that have expired at *now*, of the organisation or of all, and return their addresses.

    The backups of the runs that *needed* returns stay, for the reason *why*, and so do those in use: *tell* is called
    with a sentence for each. What can't be read stays too. Leads without a manifest, left by a run that died, are
    deleted when they are older than backups are *kept*. Raises `Refused` if the storage fails, and
    `PrefectUnavailable`.
    """
    deleted: list[str] = []
    expired = [each for each in archives(url, organization_id) if _has_expired(each, now, kept)]
    stay = needed() if expired else ()
    for archive in expired:
        if run_of(archive) in stay:
            tell(f"{archive.url} has expired, but stays: {why}.")
            continue
        try:
            with locked(archive, "a deletion of old backups"):
                if _has_expired(Archive.at(archive.url), now, kept):  # still, now that nobody else may write it
                    archive.delete()
                    deleted.append(archive.url)
        except Locked as error:
            tell(str(error))
    return deleted


def unsettled(url: str) -> set[str]:
    """The runs whose report, kept in their backup, doesn't say that they no longer need it. Raises `Refused`.

    For where the ledger, which knows better, can't be asked.
    """
    return {run_of(each) for each in archives(url) if _outcome(each) not in SETTLED}


def _outcome(archive: Archive) -> str | None:
    """How the run ended by its report; None without one. Leads without a manifest were never relied on."""
    if not archive.is_there:
        return Outcome.NOTHING_TO_DO
    try:
        with archive.open(REPORT) as file:
            return json.load(file).get("outcome")
    except (OSError, ValueError, AttributeError):
        return None


def _has_expired(archive: Archive, now: datetime, kept: timedelta) -> bool:
    if not archive.is_there:
        return archive.holds_leads() and not archive.holds_leads(now - kept)
    try:
        manifest = archive.manifest
    except Refused:
        return False
    ours = archive.url.endswith(f"/{manifest.organization_id}/{manifest.flow_run_id}")
    return ours and manifest.keep_until < now
