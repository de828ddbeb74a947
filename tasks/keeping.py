"""What is done to backups that there are: deleting those whose time is over, and taking a person's data out of them."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from tasks.archive import Archive, archives
from tasks.outcomes import Refused

STILL_WRITTEN = timedelta(days=1)
"""Leads that no manifest vouches for may be a run's that is about to; not any more when they are older than this."""


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
        return _holds_leads(archive) and not _holds_leads(archive, now - kept)
    try:
        manifest = archive.manifest
    except Refused:
        return False
    ours = archive.url.endswith(f"/{manifest.organization_id}/{manifest.flow_run_id}")
    return ours and manifest.keep_until < now


def _holds_leads(archive: Archive, since: datetime | None = None) -> bool:
    """Whether leads lie there that were written after *since*, whatever vouches for them."""
    return any(since is None or archive.written_at(name) > since for name in archive.lead_files())


def forget(archive: Archive, whom: str, now: datetime) -> int:
    """Take the lead with this id, or every lead with a contact of this e-mail address, out of the backup; how many.

    The rest is written anew, then the manifest turns to it, and only then does the old file go: whenever this ends,
    the manifest vouches for what is there, and doing it again finishes it. What a run has left that died goes as a
    whole. Raises `Refused` for a backup that isn't what its manifest says, and while it may still be written.
    """
    with archive.held(alone=True):
        return _forget(archive, whom, now)


def _forget(archive: Archive, whom: str, now: datetime) -> int:
    if not archive.is_there:
        if _holds_leads(archive, now - STILL_WRITTEN):
            raise Refused(f"{archive.url} is no backup yet: a run may be writing it. Ask again when it has ended.")
        if _holds_leads(archive):
            archive.delete()
        return 0
    manifest = archive.manifest
    archive.verify()  # or the new manifest would vouch for what somebody else has changed
    found = [str(lead["id"]) for lead in archive.leads() if _is(lead, whom)]
    if found:
        written = archive.write_leads(lead for lead in archive.leads() if not _is(lead, whom))
        facts = {"leads": written.leads, "file": written.file, "sha256": written.sha256}
        changed = manifest.model_copy(update={**facts, "forgotten": (*manifest.forgotten, *found)})
        archive.verify(changed)
        if Archive.at(archive.url).manifest != manifest:
            archive.drop(written.file)
            raise Refused(f"The manifest of {archive.url} has changed meanwhile: ask again.")
        archive.vouch(changed)
        archive.drop(manifest.file)
    for name in archive.leftovers():
        if not archive.is_local and archive.written_at(name) > now - STILL_WRITTEN:
            raise Refused(f"In {archive.url} lies {name}, which a run may be writing: ask again in a day.")
        archive.drop(name)
    return len(found)


def _is(lead: dict[str, Any], whom: str) -> bool:
    if "@" not in whom:
        return lead.get("id") == whom
    return whom.strip().casefold() in _addresses(lead)


def _addresses(lead: dict[str, Any]) -> Iterator[str]:
    for contact in cast("list[dict[str, Any]]", lead.get("contacts") or []):
        for email in cast("list[dict[str, Any]]", contact.get("emails") or []):
            yield str(email.get("email", "")).strip().casefold()
