"""A person's data in a backup: whether there is any, and removing it."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from tasks.backup.archive import Archive
from tasks.backup.lock import Check, locked
from tasks.runs.outcomes import Refused

STILL_WRITTEN = timedelta(days=1)
"""How old leads without a manifest may be for a run still to be writing it."""


def holds(archive: Archive, whom: str) -> bool:
    """Whether it has the lead with this id, or a lead with a contact of this e-mail address. Raises `Refused`."""
    return any(_is(lead, whom) for lead in archive.leads())


def forget(archive: Archive, whom: str, now: datetime) -> int:
    """Remove the lead with this id, or all leads with a contact of this e-mail address; return how many.

    Writes the other leads into a new file, then the manifest that names it, and only then deletes the old one: after a
    crash the backup is valid, and repeating this completes it. Leads that a dead run left without a manifest are all
    deleted. Raises `Refused` for a backup that isn't what its manifest says, and while a run may be writing it; and
    `Locked` while it is restored, which might create the person's leads again.
    """
    with locked(archive, "an erasure") as check:
        if not archive.is_sealed:
            if archive.holds_leads(now - STILL_WRITTEN):
                raise Refused(f"{archive.url} is no backup yet: a run may be writing it. Ask again when it has ended.")
            if archive.holds_leads():
                archive.delete()
            return 0
        manifest = archive.manifest
        archive.verify()  # or the new manifest would cover up what somebody else has changed
        found = [str(lead["id"]) for lead in archive.leads() if _is(lead, whom)]
        if found:
            written = archive.write_leads(_others(archive, whom, check))
            facts = {**written._asdict(), "forgotten": (*manifest.forgotten, *found)}
            changed = manifest.model_copy(update=facts)
            try:
                archive.verify(changed)
                if Archive.at(archive.url).manifest != manifest:
                    raise Refused(f"The manifest of {archive.url} has changed meanwhile: ask again.")
                check()
            except BaseException:
                with suppress(Refused):
                    archive.delete_file(written.file)
                raise
            archive.seal(changed)
            check()
            archive.delete_file(manifest.file)
        for name in archive.leftovers():
            check()
            if not archive.is_local and archive.written_at(name) > now - STILL_WRITTEN:
                raise Refused(f"{archive.url} has {name}, which a run may be writing: ask again in a day.")
            archive.delete_file(name)
        return len(found)


def _others(archive: Archive, whom: str, check: Check) -> Iterator[dict[str, Any]]:
    for lead in archive.leads():
        check()
        if not _is(lead, whom):
            yield lead


def _is(lead: dict[str, Any], whom: str) -> bool:
    if "@" not in whom:
        return lead.get("id") == whom
    return whom.strip().casefold() in _addresses(lead)


def _addresses(lead: dict[str, Any]) -> Iterator[str]:
    for contact in cast("list[dict[str, Any]]", lead.get("contacts") or []):
        for email in cast("list[dict[str, Any]]", contact.get("emails") or []):
            yield str(email.get("email", "")).strip().casefold()
