"""The tasks that copy the planned leads before anything is deleted, and prove that the copy has them all."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from tasks.backup.archive import Archive, Manifest, Written
from tasks.backup.export import TRY_AGAIN, finished_export, store
from tasks.backup.place import check_place
from tasks.backup.prune import prune
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, NotAllowed, WrongKey
from tasks.close.query.conditions import FixedUtc
from tasks.close.resources import Export
from tasks.close.settings import CloseSettings
from tasks.criteria.reading import EXAMPLES
from tasks.criteria.selection import Criteria
from tasks.ledger import store as ledger
from tasks.ledger.record import BackupTaken
from tasks.plan.model import Plan
from tasks.runs.alive import check_latest
from tasks.runs.connect import connect, read_settings
from tasks.runs.host import ephemeral_host
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Refused, Stop, outcome_of
from tasks.runs.retries import once, reads
from tasks.runs.run import Run
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)


def make_backup(run: Run, plan: Plan, criteria: Criteria, *, wanted: bool) -> BackupTaken | None:
    """Export the planned leads, store them and read them back. None if no backup is *wanted*.

    Raises `Stop`, and nothing may be deleted, unless it has as many leads as still match, no more than planned, and
    each agrees with the *criteria* in our own reading: see `tasks.criteria.reading`.
    Safe to repeat: each attempt writes a new file of leads, and a manifest that names it.
    """
    if not wanted:
        return None
    settings = read_settings()
    vouched = check_place(settings.backup_url, ephemeral_host(run, settings), lasts=settings.backup_folder_lasts)
    archive = Archive.of_run(settings.backup_url, plan.organization_id, run.id)
    try:
        export = wait_for_export(plan, start_export(plan))
        with archive.lock(exclusive=False):
            downloaded = download_export(plan, criteria, export, archive.url)
            taken = seal_backup(run, plan, archive.url, downloaded, settings.backup_days)
            return taken and taken.model_copy(update={"vouched": vouched})
    except (NotAllowed, WrongKey) as error:
        raise Refused(f"{NOT_ALLOWED} ({error})") from error
    except CloseError as error:
        raise Stop(outcome_of(error), f"There is no backup, so nothing was deleted: {error}") from error


class Downloaded(NamedTuple):
    """A file of leads that is no backup yet, and when (by Close's clock) it was complete."""

    written: Written
    made_at: datetime


@once
def start_export(plan: Plan) -> Export:
    """Delete the backups that have expired, and start an export of the planned leads."""
    settings = read_settings()
    with connect(plan.organization_id, user_id=plan.user_id) as close:
        with log_if_it_fails("Deleting old backups"):
            _prune(settings, plan.organization_id, close.now())
        return close.start_export(plan.s_query)


@reads
def wait_for_export(plan: Plan, export: Export) -> Export:
    """Wait until the *export* is done, and return it as it is then."""
    with connect(plan.organization_id, user_id=plan.user_id) as close:
        return finished_export(close, export)


@reads
def download_export(plan: Plan, criteria: Criteria, export: Export, url: str) -> Downloaded:
    """Download the *export* into a new file in the folder at *url*, without a manifest. A failure leaves no file."""
    with connect(plan.organization_id, user_id=plan.user_id) as close:
        written = store(close, export, Archive.at(url), criteria)
        return Downloaded(written, close.now())


@once
def seal_backup(run: Run, plan: Plan, url: str, downloaded: Downloaded, days: int) -> BackupTaken | None:
    """Check what was *downloaded* and make it the backup of *run*, to be kept for so many *days*, or delete it."""
    archive, (written, made_at) = Archive.at(url), downloaded
    manifest = Manifest(
        organization_id=plan.organization_id,
        flow_run_id=str(run.id),
        as_of=FixedUtc.at(plan.as_of).value,
        digest=plan.digest,
        s_query=plan.s_query,
        **written._asdict(),
        made_at=made_at,
        keep_until=made_at + timedelta(days=days),
    )
    try:
        # Prefect may execute the same run twice. If the other process claimed while this one exported, Close may have
        # deleted leads that our file lacks; so the ledger is read after the export, and before the manifest.
        other = ledger.read(run.id)
        if other and not other.may_plan_again:
            archive.delete_file(written.file)
            return other.backup
        with connect(plan.organization_id, user_id=plan.user_id) as close:
            check_complete(close, plan, written.leads)
        archive.verify(manifest)
        check_latest(run)  # a later attempt's backup must not be replaced by an earlier one's
    except BaseException:
        with suppress(Refused):
            archive.delete_file(written.file)
        raise
    archive.seal(manifest)
    found = archive.manifest
    leads = counted(found.leads, "lead is", "leads are")
    logger.info("%s in the backup %s, until %s.", leads, archive.url, found.keep_until.date())
    return BackupTaken(url=archive.url, leads=found.leads, keep_until=found.keep_until)


NOT_ALLOWED = (
    "The API key's user may not export leads, so there is no backup and nothing was deleted: use the key of a user who "
    "may, such as an admin, or turn `backup` off."
)


def _prune(settings: CloseSettings, organization_id: str, at: datetime) -> None:
    needed = partial(ledger.runs_with_open_claims, organization_id)
    deleted, stayed = prune(settings.backup_url, organization_id, at, timedelta(days=settings.backup_days), needed)
    for sentence in stayed:
        logger.info("%s", sentence)
    for url in deleted:
        logger.info("Deleted an old backup: %s.", url)


def check_complete(close: CloseClient, plan: Plan, leads: int) -> None:
    """Raise `Refused` unless a backup of this many *leads* has all that may be deleted, and nothing else.

    Fewer than planned are enough if no more match by now: the query spares leads that were edited meanwhile.
    """
    planned = plan.counts.planned
    if leads > planned:
        raise Refused(
            f"The backup has {counted(leads, 'lead')}, more than the {planned:,} planned: run the cleanup again."
        )
    if leads < planned and (matching := close.count(plan.s_query)) > leads:
        raise Refused(
            f"The backup has only {leads:,} of the {counted(planned, 'planned lead')}, of which {matching:,} still "
            f"match. {TRY_AGAIN}"
        )


def check_in_backup(matching: set[str] | None, plan: Plan, backup: BackupTaken, *, whole: bool) -> None:
    """Raise `Refused` if one of the *matching* leads isn't in the *backup*, even if the numbers agree.

    One may be edited, and so be spared, while another loses its protection. *matching* has their ids, None if they
    aren't known. With *whole*, reads all of the backup again first.
    """
    archive = Archive.at(backup.url)
    if archive.manifest.digest != plan.digest:
        raise Refused(f"{backup.url} is the backup of another plan: run the cleanup again.")
    if whole:
        archive.verify()
    if matching is None:
        return
    if strangers := sorted(matching - archive.lead_ids()):
        raise Refused(
            f"{counted(len(strangers), 'lead matches', 'leads match')} now without being in the backup "
            f"({', '.join(strangers[:EXAMPLES])}): run the cleanup again."
        )
