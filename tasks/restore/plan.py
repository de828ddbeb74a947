"""What a restore would do: checks the backup, reads the organisation and counts. Writes nothing."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from tasks.backup.archive import Archive, archive_of, archives
from tasks.close.client import CloseClient
from tasks.close.errors import NotAllowed
from tasks.close.ids import LeadId
from tasks.close.pages import EVENT_PAGE, EVENTS_LATE_BY
from tasks.close.settings import without_password
from tasks.restore.id_mapping import CUSTOM_FIELDS, IdMapping, Inventory, Missing
from tasks.restore.journal import Journal
from tasks.restore.new_objects import new_lead
from tasks.runs.connect import connect, read_settings
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.retries import reads
from tasks.runs.run_ids import is_beginning, is_whole
from tasks.runs.wording import counted

DELETED_AGAIN = "To bring these back, restore the backup of the run that deleted them."

WhichBackup = Annotated[
    str,
    Field(
        min_length=1,
        title="Backup",
        description="Address of the backup's folder, or the id of the flow run that made it: that backup is looked up "
        "in CLOSE_BACKUP_URL.",
    ),
    AfterValidator(without_password),
]
WhichLeads = Annotated[
    list[LeadId],
    Field(title="Leads", description="Ids of the leads to restore, as in the backup. Leave empty to restore all."),
]
WhenMissing = Annotated[
    Literal["stop", "skip"],
    Field(
        title="When something is missing",
        description="What to do if the organisation lacks a status, a user, a custom field or a choice that the backup "
        "names: stop before anything is created, or skip it, so that Close uses its default or the field stays empty.",
    ),
]
Instead = Annotated[
    dict[str, str],
    Field(title="Instead", description="Ids in the backup, and the ids in the organisation that replace them."),
]


@dataclass
class Comparison:
    """The leads to restore, compared with Close. Leads appear by their ids in the backup, never by name."""

    seen: set[str] = field(default_factory=set[str])
    """All leads of the backup that are to be restored."""
    still_in_close: set[str] = field(default_factory=set[str])
    """Those that Close still has under their old ids."""
    restored_from_other_backup: set[str] = field(default_factory=set[str])
    """Those that were restored from another backup, and that Close still has."""
    deleted: set[str] = field(default_factory=set[str])
    """Leads that Close has deleted since, by its event log. It isn't asked for them until they are to be created."""
    restored_before: int = 0
    """How many were restored from this backup, completely, and are still in Close."""
    begun: int = 0
    """How many were restored from this backup in part, and are still in Close."""
    deleted_again: int = 0
    """How many were restored from this backup and are no longer in Close."""
    counts: Counter[str] = field(default_factory=Counter[str])
    """How many objects are left to create, by kind."""


@dataclass(frozen=True)
class RestorePlan:
    """What a restore would do."""

    url: str
    """The address of the backup."""
    forgotten: tuple[str, ...]
    """Ids of the leads that were removed from the backup on request."""
    organization_id: str
    organization: str
    user_id: str
    leads: tuple[str, ...]
    """Ids of the leads to restore, as in the backup; empty for all."""
    found: Comparison
    mapping: IdMapping
    """Has counted what the organisation lacks and what can't be restored."""

    def gaps(self) -> list[str]:
        """What the organisation lacks, one phrase each."""
        return [_gap(each, number) for each, number in sorted(self.mapping.missing.items())]

    def notes(self) -> list[str]:
        """What else a person should know of these leads, one sentence each."""
        again, removed = counted(self.found.deleted_again, "lead"), counted(len(self.forgotten), "lead")
        return [
            *([f"Restored before and deleted since: {again}. {DELETED_AGAIN}"] if self.found.deleted_again else []),
            *([f"Removed from this backup on request: {removed}."] if self.forgotten else []),
        ]


def _statuses(plan: RestorePlan) -> str:
    """The organisation's statuses, if one of them could replace what is missing."""
    inventory = plan.mapping.inventory
    kinds = {"lead status": inventory.lead_statuses, "opportunity status": inventory.opportunity_statuses}
    lists = [
        f" Every {kind}: {', '.join(f'{id_} ({label})' for id_, label in known.items())}."
        for kind, known in kinds.items()
        if any(each.kind == kind for each in plan.mapping.missing)
    ]
    return "".join(lists)


def _gap(missing: Missing, number: int) -> str:
    name = f"{missing.label} ({missing.id})" if missing.label else missing.id
    return f"No {missing.kind} {name}, which {counted(number, 'object')} of the backup would need"


@reads
def plan_restore(backup: str, leads: Sequence[str], instead: Mapping[str, str]) -> RestorePlan:
    """Check the backup, and compare it with Close.

    Raises `Refused` for a backup that is damaged or of another organisation, and for ids that it doesn't have.
    """
    with connect() as close:
        organization_id = close.organization_id()
        archive = find_backup(backup, organization_id)
        verify_backup(archive, organization_id)
        organization = close.organization(organization_id)
        journal = Journal(archive)
        journal.read()
        users = frozenset(each.user_id for each in organization.memberships if each.user_id)
        mapping = IdMapping(_inventory(close, users), instead)
        found = _compare(close, archive, journal, mapping, frozenset(leads))
        if unknown := sorted(set(leads) - found.seen):
            raise Refused(f"{archive.url} has no lead {', '.join(unknown)}{_removed(archive, unknown)}.")
        if not leads and (unused := sorted(set(instead) - mapping.replaced)):
            raise Refused(f"Nothing in {archive.url} names {', '.join(unused)}: correct `instead`, or --instead.")
        return RestorePlan(
            url=archive.url,
            forgotten=archive.manifest.forgotten,
            organization_id=organization_id,
            organization=organization.name,
            user_id=close.me().id,
            leads=tuple(leads),
            found=found,
            mapping=mapping,
        )


def _removed(archive: Archive, leads: list[str]) -> str:
    return ": removed on request" if set(leads) & set(archive.manifest.forgotten) else ""


def find_backup(backup: str, organization_id: str) -> Archive:
    """Return the backup at this address or, given a flow run's id or its beginning, of that run. Raises `Refused`."""
    url = read_settings().backup_url
    if is_whole(backup):
        found = Archive.of_run(url, organization_id, UUID(backup))
        return found if found.is_sealed else archive_of(str(UUID(backup)), url, organization_id)
    if is_beginning(backup):
        return archive_of(backup, url, organization_id)
    if "/" in backup:
        return Archive.at(backup)
    raise Refused(
        f"{backup!r} is no backup: write the id of the run that made it, or the address of its folder; see "
        "`lead-cleanup backups`."
    )


def verify_backup(archive: Archive, organization_id: str) -> None:
    """Raise `Refused` unless the backup is complete, readable, and of this organisation."""
    if (its := archive.manifest.organization_id) != organization_id:
        raise Refused(
            f"{archive.url} is a backup of {its}, but the API key belongs to {organization_id}: use a key of the "
            "organisation whose leads these are."
        )
    archive.verify()


def _compare(
    close: CloseClient, archive: Archive, journal: Journal, mapping: IdMapping, wanted: frozenset[str]
) -> Comparison:
    found = Comparison(deleted=_deleted(close, archive, len(wanted) or archive.manifest.leads))
    others = journals_of_other_backups(archive)
    for lead in leads_to_restore(archive, wanted):
        lead_id = str(lead["id"])
        found.seen.add(lead_id)
        if lead_id in journal.new and close.lead(journal.new[lead_id]) is None:
            found.deleted_again += 1
        elif journal.is_done(lead_id):
            found.restored_before += 1
        elif lead_id not in found.deleted and close.lead(lead_id) is not None:
            found.still_in_close.add(lead_id)
        elif restored_from(others, close, lead_id):
            found.restored_from_other_backup.add(lead_id)
        else:
            found.begun += lead_id in journal.new
            found.counts += new_lead(lead, mapping).counts() - journal.created_counts(lead_id)
    return found


def _deleted(close: CloseClient, archive: Archive, leads: int) -> set[str]:
    """The ids of leads that were deleted since the backup was made, by the event log; none if the key may not read it.

    Reads at most as many pages as there are *leads* to look for: asking for each would take no longer.
    """
    events = close.lead_events("deleted", archive.manifest.made_at - EVENTS_LATE_BY)
    try:
        return {event.object_id for event in islice(events, leads * EVENT_PAGE) if event.object_id}
    except NotAllowed:
        return set()


def journals_of_other_backups(archive: Archive) -> list[Journal]:
    """The journals of the organisation's other backups: a lead may be in several, if a cleanup was interrupted."""
    organization = archive.url.rpartition("/")[0]
    root, _, organization_id = organization.rpartition("/")
    if organization_id != archive.manifest.organization_id:
        return []
    journals = [Journal(each) for each in archives(root, organization_id) if each.url != archive.url]
    for each in journals:
        each.read()
    return journals


def restored_from(journals: Sequence[Journal], close: CloseClient, lead_id: str) -> bool:
    """Whether Close has the lead as restores with these *journals* created it, or created that one again.

    Raises `Refused` if a journal doesn't say.
    """
    known, latest = {lead_id}, [lead_id]
    while latest:
        old_id = latest.pop()
        for journal in journals:
            last = journal.last(old_id, "lead", old_id)
            if last and last.step == "intended":
                raise Refused(
                    f"A restore of {journal.url} was interrupted while creating lead {old_id}: run it again first."
                )
            new_id = journal.new.get(old_id)
            if new_id and new_id not in known:
                if close.lead(new_id) is not None:
                    return True
                known.add(new_id)
                latest.append(new_id)
    return False


def leads_to_restore(archive: Archive, wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield the backup's leads with these ids (all, if none is given), except those that were removed on request."""
    forgotten = set(archive.manifest.forgotten)
    for lead in archive.leads():
        lead_id = lead.get("id")
        if not isinstance(lead_id, str) or not re.fullmatch(r"\w+", lead_id):
            raise Refused(f"{archive.url} has a lead without an id.")
        if lead_id not in forgotten and (not wanted or lead_id in wanted):
            yield lead


def _inventory(close: CloseClient, users: frozenset[str]) -> Inventory:
    """Read what the organisation has of the things that a backup may name."""
    return Inventory(
        lead_statuses={each.id: each.label for each in close.lead_statuses()},
        opportunity_statuses={each.id: each.label for each in close.opportunity_statuses()},
        users=users,
        custom_fields={kind: {each.id: each for each in close.custom_fields(kind)} for kind in CUSTOM_FIELDS},
    )


def check_plan(plan: RestorePlan, missing: str, *, dry_run: bool) -> None:
    """Raise `Stop` unless this run may create what *plan* holds."""
    if plan.mapping.missing and missing == "stop":
        raise Refused(
            f"The organisation lacks {counted(len(plan.mapping.missing), 'thing')} that the backup names, so nothing "
            f"was restored: {'; '.join(plan.gaps()[:10])}. Replace each (`instead`, or --instead OLD-ID=NEW-ID), or "
            f"leave them out (`missing: skip`, or --missing skip).{_statuses(plan)}"
        )
    if not plan.found.counts.total():
        raise Stop(Outcome.NOTHING_TO_DO, " ".join(["No lead of this backup is left to restore.", *plan.notes()]))
    if dry_run:
        raise Stop(Outcome.DRY_RUN, " ".join(_would(plan.found)))


def _would(found: Comparison) -> Iterator[str]:
    """What a restore would do, a sentence each."""
    if leads := found.counts["lead"]:
        yield f"{counted(leads, 'lead')} would be restored."
    if found.begun:
        yield f"{counted(found.begun, 'lead')} that an earlier restore has begun would be completed."
