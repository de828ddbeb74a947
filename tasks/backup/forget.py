"""Taking a person's data out of a backup."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from tasks.backup.archive import Archive
from tasks.runs.outcomes import Refused

STILL_WRITTEN = timedelta(days=1)
"""Leads that no manifest vouches for may be a run's that is about to; not any more when they are older than this."""


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
        if archive.holds_leads(now - STILL_WRITTEN):
            raise Refused(f"{archive.url} is no backup yet: a run may be writing it. Ask again when it has ended.")
        if archive.holds_leads():
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
