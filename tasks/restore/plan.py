"""What a restore would do: the backup checked, the organisation looked at, everything counted. Writes nothing."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import AfterValidator, Field

from tasks.backup.archive import Archive, archives
from tasks.close.client import CloseClient
from tasks.close.settings import without_password
from tasks.restore.id_mapping import CUSTOM_FIELDS, Fitting, Inventory, Missing
from tasks.restore.journal import Journal
from tasks.restore.new_objects import remake
from tasks.runs.connect import connect, settings
from tasks.runs.outcomes import Outcome, Refused, Stop

WhichBackup = Annotated[
    str,
    AfterValidator(without_password),
    Field(
        title="Backup",
        description="Address of the backup's folder, or the id of the flow run that made it, which is looked for below "
        "CLOSE_BACKUP_URL.",
    ),
]
LeadIds = Annotated[
    list[Annotated[str, Field(pattern=r"^lead_\w+$")]],
    Field(title="Leads", description="Ids of the leads to restore, as in the backup. None means all of them."),
]
WhenMissing = Annotated[
    Literal["stop", "skip"],
    Field(
        title="When something is missing",
        description="What to do if the organisation lacks a status, a user, a custom field or a choice that the backup "
        "names: stop before anything is made, or skip it, so that Close's default holds or the field stays empty.",
    ),
]
Instead = Annotated[
    dict[str, str],
    Field(title="Instead", description="Ids in the backup, and the ids that stand for them in the organisation now."),
]


@dataclass(frozen=True)
class RestorePlan:
    """What a restore would do. Counts are of objects by kind; nothing here names a lead but by its id."""

    url: str
    organization_id: str
    organization: str
    user_id: str
    leads: tuple[str, ...]
    """Those that were asked for; empty for all."""
    there: frozenset[str]
    """Those that Close still has under their old ids."""
    elsewhere: frozenset[str]
    """Those that a restore of another backup has made, and that Close still has."""
    before: int
    """Leads that an earlier restore of this backup has made, with everything, and that Close still has."""
    deleted_again: int
    """Leads that an earlier restore of this backup has made, and that Close doesn't have any more."""
    counts: Mapping[str, int]
    missing: Mapping[Missing, int]
    lost: Mapping[str, int]
    forgotten: tuple[str, ...]
    inventory: Inventory
    instead: Mapping[str, str] = field(default_factory=dict[str, str])

    def gaps(self) -> list[str]:
        """What the organisation lacks, a line each."""
        return [_gap(each, number) for each, number in sorted(self.missing.items())]


def _statuses(plan: RestorePlan) -> str:
    """The statuses that there are, if one of them could stand for what is missing."""
    kinds = {"lead status": plan.inventory.lead_statuses, "opportunity status": plan.inventory.opportunity_statuses}
    said = [
        f" There are, as {kind}: {', '.join(f'{id_} ({label})' for id_, label in known.items())}."
        for kind, known in kinds.items()
        if any(each.kind == kind for each in plan.missing)
    ]
    return "".join(said)


DELETED_AGAIN = "What was restored and has been deleted since is in the backup of the run that deleted it."


def _gap(missing: Missing, number: int) -> str:
    name = f"{missing.label} ({missing.id})" if missing.label else missing.id
    return f"No {missing.kind} {name}, which {number:,} {'object has' if number == 1 else 'objects have'}"


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def plan_restore(backup: str, leads: Sequence[str], instead: Mapping[str, str]) -> RestorePlan:
    """Check the backup and look at Close. Raises `Refused` for a backup that is no whole one of this organisation."""
    with connect() as close:
        organization_id = close.organization_id()
        archive = find(backup, organization_id)
        verify(archive, organization_id)
        organization = close.organization(organization_id)
        journal = Journal(archive)
        journal.read()
        users = frozenset(each.user_id for each in organization.memberships if each.user_id)
        fitting = Fitting(_inventory(close, users), instead)
        found = _look(close, archive, journal, fitting, frozenset(leads))
        if unknown := sorted(set(leads) - found.seen):
            raise Refused(f"{archive.url} has no lead {', '.join(unknown)}{_taken_out(archive, unknown)}.")
        if not leads and (unused := sorted(set(instead) - fitting.replaced)):
            raise Refused(f"Nothing in {archive.url} names {', '.join(unused)}, for which something else was to stand.")
        return RestorePlan(
            url=archive.url,
            organization_id=organization_id,
            organization=organization.name,
            user_id=close.me().id,
            leads=tuple(leads),
            there=frozenset(found.there),
            elsewhere=frozenset(found.elsewhere),
            before=found.before,
            deleted_again=found.deleted_again,
            counts=dict(found.counts),
            missing=dict(fitting.missing),
            lost=dict(fitting.lost),
            forgotten=archive.manifest.forgotten,
            inventory=fitting.inventory,
            instead=dict(instead),
        )


def _taken_out(archive: Archive, leads: list[str]) -> str:
    return ": taken out at somebody's request" if set(leads) & set(archive.manifest.forgotten) else ""


def find(backup: str, organization_id: str) -> Archive:
    """The backup at this address or, given the id of a flow run, of that run."""
    try:
        run_id = UUID(backup)
    except ValueError:
        if "/" in backup:
            return Archive.at(backup)
        raise Refused(
            f"{backup!r} is no backup: give the id of the run that made it, or its folder's address; `lead-cleanup "
            "backups` lists what there is."
        ) from None
    return Archive.of_run(settings().backup_url, organization_id, run_id)


def verify(archive: Archive, organization_id: str) -> None:
    """Raise `Refused` unless the backup is whole, readable, and of this organisation."""
    if (its := archive.manifest.organization_id) != organization_id:
        raise Refused(
            f"{archive.url} is a backup of {its}, but the API key belongs to {organization_id}: use a key of the "
            "organisation whose leads these are."
        )
    archive.verify()


@dataclass
class _Found:
    seen: set[str] = field(default_factory=set[str])
    there: set[str] = field(default_factory=set[str])
    elsewhere: set[str] = field(default_factory=set[str])
    before: int = 0
    deleted_again: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])


def _look(close: CloseClient, archive: Archive, journal: Journal, fitting: Fitting, wanted: frozenset[str]) -> _Found:
    found = _Found()
    others = _journals_elsewhere(archive)
    for lead in chosen(archive, wanted):
        lead_id = str(lead["id"])
        found.seen.add(lead_id)
        if journal.is_done(lead_id):
            there = close.lead(journal.new[lead_id]) is not None
            found.before += there
            found.deleted_again += not there
        elif close.lead(lead_id) is not None:
            found.there.add(lead_id)
        elif any(_is_there(close, other, lead_id) for other in others):
            found.elsewhere.add(lead_id)
        else:
            found.counts += remake(lead, fitting).counts()
    return found


def _journals_elsewhere(archive: Archive) -> list[Journal]:
    """Those of restores of the organisation's other backups: a lead may be in several, if a run was cut off."""
    organization = archive.url.rpartition("/")[0]
    root, _, organization_id = organization.rpartition("/")
    if organization_id != archive.manifest.organization_id:
        return []
    journals = [Journal(each) for each in archives(root, organization_id) if each.url != archive.url]
    for each in journals:
        each.read()
    return journals


def _is_there(close: CloseClient, journal: Journal, lead_id: str) -> bool:
    """Whether Close has the lead that a restore has made in its place. Raises `Refused` where that isn't known."""
    last = journal.last(lead_id, "lead", lead_id)
    if last and last.step == "intended":
        raise Refused(f"A restore of {journal.url} was cut off as it made lead {lead_id}: run that one again first.")
    return lead_id in journal.new and close.lead(journal.new[lead_id]) is not None


def chosen(archive: Archive, wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The backup's leads that are wanted (none named: all), but for those that were taken out, one at a time."""
    forgotten = set(archive.manifest.forgotten)
    for lead in archive.leads():
        lead_id = lead.get("id")
        if not isinstance(lead_id, str) or not re.fullmatch(r"\w+", lead_id):
            raise Refused(f"{archive.url} has a lead without an id.")
        if lead_id not in forgotten and (not wanted or lead_id in wanted):
            yield lead


def _inventory(close: CloseClient, users: frozenset[str]) -> Inventory:
    """What the organisation has, of what a backup may name."""
    return Inventory(
        lead_statuses={each.id: each.label for each in close.lead_statuses()},
        opportunity_statuses={each.id: each.label for each in close.opportunity_statuses()},
        users=users,
        custom_fields={kind: {each.id: each for each in close.custom_fields(kind)} for kind in CUSTOM_FIELDS},
    )


def decide(plan: RestorePlan, missing: str, *, dry_run: bool) -> None:
    """Raise `Stop` unless *plan* is to be carried out."""
    if plan.missing and missing == "stop":
        raise Refused(
            f"The organisation lacks {len(plan.missing)} of the things that the backup names, so nothing is restored: "
            f"{'; '.join(plan.gaps()[:10])}. Say which id stands for each (`instead`, or --instead OLD-ID=NEW-ID), "
            f"or leave them out (`missing: skip`, or --missing skip).{_statuses(plan)}"
        )
    leads = plan.counts.get("lead", 0)
    if not leads:
        every = "Every lead of this backup that was asked for is there"
        again = f", but for {plan.deleted_again:,}. {DELETED_AGAIN}" if plan.deleted_again else "."
        raise Stop(Outcome.NOTHING_TO_DO, every + again)
    if dry_run:
        raise Stop(Outcome.DRY_RUN, f"{leads:,} {'lead' if leads == 1 else 'leads'} would be restored.")
