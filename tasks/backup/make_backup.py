"""The task that takes a copy of the planned leads before anything is deleted, and proves that it has them all."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from tasks.backup.archive import Archive, Manifest, Written
from tasks.backup.export import TRY_AGAIN, finished_export, store
from tasks.backup.place import check_place
from tasks.backup.prune import prune
from tasks.close.client import LONGEST_SEARCH, CloseClient
from tasks.close.errors import CloseError, NotAllowed, WrongKey
from tasks.close.query.conditions import FixedUtc
from tasks.close.settings import CloseSettings
from tasks.criteria.reading import EXAMPLES, agreeing
from tasks.criteria.selection import Criteria
from tasks.ledger import store as ledger
from tasks.ledger.record import BackupTaken, Record
from tasks.plan.model import Plan
from tasks.runs.connect import connect, settings
from tasks.runs.host import ephemeral_host
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused, Stop, outcome_of
from tasks.runs.retries import once
from tasks.runs.run import Run

logger = logging.getLogger(__name__)


@once
def make_backup(run: Run, plan: Plan, criteria: Criteria, *, wanted: bool) -> BackupTaken | None:
    """Export the planned leads, store them, read them back, and say where they are; None if that isn't *wanted*.

    Raises `Stop`, and nothing may be deleted, unless every planned lead that still matches is in it, and no other, and
    each agrees with the *criteria*, as we read it ourselves: see `tasks.criteria.reading`.
    May be done again: another attempt writes leads of its own, and turns the manifest to them.
    """
    if not wanted:
        return None
    known = settings()
    check_place(known.backup_url, ephemeral_host(run, known))
    archive = Archive.of_run(known.backup_url, plan.organization_id, run.id)
    try:
        with connect(plan.organization_id, user_id=plan.user_id) as close:
            with log_if_it_fails("Deleting old backups"):
                _prune(known, plan.organization_id, close.now())
            export = finished_export(close, plan.s_query)
            check = partial(agreeing, criteria=criteria)
            with archive.held(alone=False):
                written = store(close, export, archive, check)
                return _vouched(close, run, plan, archive, written, known.backup_days)
    except (NotAllowed, WrongKey) as error:
        raise Refused(f"{NOT_ALLOWED} ({error})") from error
    except CloseError as error:
        raise Stop(outcome_of(error), f"There is no backup, so nothing was deleted: {error}") from error


NOT_ALLOWED = (
    "The API key's user may not export leads, so there is no backup and nothing was deleted: use the key of a user who "
    "may, such as an admin, or turn `backup` off."
)


def _prune(known: CloseSettings, organization_id: str, at: datetime) -> None:
    needed = {record.backup.url for record in ledger.unresolved(organization_id) if record.backup}
    for url in prune(known.backup_url, organization_id, at, timedelta(days=known.backup_days), needed):
        logger.info("An old backup is deleted: %s.", url)


def _vouched(
    close: CloseClient, run: Run, plan: Plan, archive: Archive, written: Written, days: int
) -> BackupTaken | None:
    """Check what was *written* and make it the backup of *run*, or throw it away."""
    manifest = _manifest(run, plan, written, close.now(), days)
    try:
        if standing := _claim_of_another_copy(run):
            archive.drop(written.file)
            return standing.backup
        check_complete(close, plan, written.leads)
        archive.verify(manifest)
    except BaseException:
        with suppress(Refused):
            archive.drop(written.file)
        raise
    archive.vouch(manifest)
    found = archive.manifest
    logger.info("%s leads are in the backup %s, until %s.", found.leads, archive.url, found.keep_until.date())
    return BackupTaken(url=archive.url, leads=found.leads, keep_until=found.keep_until)


def _claim_of_another_copy(run: Run) -> Record | None:
    """The claim that another copy of *run* has made meanwhile: by now Close may be deleting what our export then lacks.

    To be asked after the export and before the manifest: what was exported before any claim lacks nothing.
    """
    standing = ledger.read(run.id)
    return standing if standing and not standing.may_plan_again else None


def check_complete(close: CloseClient, plan: Plan, leads: int) -> None:
    """Raise `Refused` unless a backup of so many *leads* has all that may be deleted, and nothing else.

    Fewer than planned will do if no more match by now: those that were edited meanwhile are spared by the query.
    """
    planned = plan.counts.planned
    if leads > planned:
        raise Refused(f"The backup has {leads:,} leads, more than the {planned:,} planned: make a new plan.")
    if leads < planned and (matching := close.count(plan.s_query)) > leads:
        raise Refused(
            f"The backup has only {leads:,} of the {planned:,} planned leads, of which {matching:,} still match. "
            f"{TRY_AGAIN}"
        )


def check_in_backup(close: CloseClient, plan: Plan, matching: int, backup: BackupTaken, *, whole: bool) -> None:
    """Raise `Refused` if one of the *matching* leads isn't in the *backup*, however many are.

    One may be edited, and so be spared, while another loses its protection. Close lists no more than 10,000 leads of a
    search; of more than these only the number is known. Where *whole*, the backup is read back once more before that.
    """
    archive = Archive.at(backup.url)
    if archive.manifest.digest != plan.digest:
        raise Refused(f"{backup.url} is the backup of another plan: run the cleanup anew.")
    if whole:
        archive.verify()
    if matching > LONGEST_SEARCH:
        return
    found = {str(row["id"]) for row in close.search(plan.s_query, limit=LONGEST_SEARCH)}
    if strangers := sorted(found - archive.lead_ids()):
        raise Refused(
            f"{len(strangers)} leads match now that are not in the backup ({', '.join(strangers[:EXAMPLES])}): "
            "make a new plan."
        )


def _manifest(run: Run, plan: Plan, written: Written, made_at: datetime, days: int) -> Manifest:
    return Manifest(
        organization_id=plan.organization_id,
        flow_run_id=str(run.id),
        as_of=FixedUtc.at(plan.as_of).value,
        digest=plan.digest,
        s_query=plan.s_query,
        leads=written.leads,
        file=written.file,
        sha256=written.sha256,
        made_at=made_at,
        keep_until=made_at + timedelta(days=days),
    )
