"""The task that takes a copy of the planned leads before anything is deleted, and proves that it has them all."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import ijson  # pyright: ignore[reportMissingTypeStubs]
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks import ledger
from tasks.archive import Archive, Manifest, Written
from tasks.close.client import LONGEST_SEARCH, CloseClient
from tasks.close.conditions import FixedUtc
from tasks.close.errors import CloseError, CloseUnavailable, NotAllowed, RateLimited, WrongKey
from tasks.close.resources import Export, ExportStatus
from tasks.close.settings import CloseSettings
from tasks.connect import connect, settings
from tasks.exported import agreeing
from tasks.keeping import prune
from tasks.outcomes import Refused, Stop, outcome_of
from tasks.plan import Plan
from tasks.policy import Keep, Match
from tasks.publish import harmless
from tasks.reading import EXAMPLES
from tasks.record import Backup, Record
from tasks.run import Run, what_takes_folders_away
from tasks.storage import check_place
from tasks.waiting import Pace

PATIENCE = timedelta(hours=2)
"""How long Close may take to export. It documents nothing; nobody's run should hold a worker for longer."""
Check = Callable[[Iterator[dict[str, Any]]], Iterator[dict[str, Any]]]
"""Gives on the leads that it gets, and may raise `Refused`."""
DOWNLOADS = 3
DOWNLOAD_AGAIN_AFTER = 5.0  # seconds


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def make_backup(run: Run, plan: Plan, match: Match, keep: Keep, *, wanted: bool) -> Backup | None:
    """Export the planned leads, store them, read them back, and say where they are; None if that isn't *wanted*.

    Raises `Stop`, and nothing may be deleted, unless every planned lead that still matches is in it, and no other, and
    each is what *match* and *keep* say, as we read it ourselves: see `tasks.exported`.
    May be done again: another attempt writes leads of its own, and turns the manifest to them.
    """
    if not wanted:
        return None
    known = settings()
    check_place(known.backup_url, what_takes_folders_away(run, known))
    archive = Archive.of_run(known.backup_url, plan.organization_id, run.id)
    try:
        with connect(plan.organization_id, user_id=plan.user_id) as close:
            with harmless("The deletion of old backups"):
                _prune(known, plan.organization_id, close.now())
            export = finished_export(close, plan.s_query, get_run_logger().warning)
            check = partial(agreeing, match=match, keep=keep, as_of=plan.as_of)
            with archive.held(alone=False):
                written = store(close, export, archive, check, get_run_logger().warning)
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
        get_run_logger().info("An old backup is deleted: %s.", url)


def _vouched(close: CloseClient, run: Run, plan: Plan, archive: Archive, written: Written, days: int) -> Backup | None:
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
    get_run_logger().info("%s leads are in the backup %s, until %s.", found.leads, archive.url, found.keep_until.date())
    return Backup(url=archive.url, leads=found.leads, keep_until=found.keep_until)


def _claim_of_another_copy(run: Run) -> Record | None:
    """The claim that another copy of *run* has made meanwhile: by now Close may be deleting what our export then lacks.

    To be asked after the export and before the manifest: what was exported before any claim lacks nothing.
    """
    standing = ledger.read(run.id)
    return standing if standing and not standing.plans_anew else None


def finished_export(close: CloseClient, s_query: dict[str, Any], warn: Callable[[str], object]) -> Export:
    """Start an export and wait until Close has done it. Raises `Refused` when it fails, or takes too long.

    Close being away doesn't end the wait; the deadline does.
    """
    export = close.start_export(s_query)
    started = close.clock()
    deadline = started + PATIENCE.total_seconds()
    pace = Pace(started)
    while not export.finished:
        now = close.clock()
        if now >= deadline:
            raise Refused(f"After {PATIENCE} Close has not finished export {export.id} ({export.status}). {TRY_AGAIN}")
        close.sleep(min(pace.next(export, now), deadline - now))
        try:
            export = close.export(export.id)
        except (CloseUnavailable, RateLimited) as error:
            warn(f"Close can't be asked for the export just now: {error}")
    if export.status != ExportStatus.DONE:
        raise Refused(f"Close reports {export.status} for export {export.id}. {TRY_AGAIN}")
    return export


TRY_AGAIN = "There is no backup, so nothing was deleted: try again."


def store(close: CloseClient, export: Export, archive: Archive, check: Check, warn: Callable[[str], object]) -> Written:
    """Download an export that is done, and write its leads while they come in. Tried three times in all."""
    for _ in range(DOWNLOADS - 1):
        try:
            return _download(close, export, archive, check)
        except CloseUnavailable as error:
            warn(str(error))
            close.sleep(DOWNLOAD_AGAIN_AFTER)
    return _download(close, export, archive, check)


def _download(close: CloseClient, export: Export, archive: Archive, check: Check) -> Written:
    with close.download(export.id) as chunks:
        return archive.write_leads(check(leads_in(chunks, export.id)))


def leads_in(chunks: Iterator[bytes], export_id: str) -> Iterator[dict[str, Any]]:
    """The leads of an export's file, each once, while it is being read. Raises CloseUnavailable where it breaks off.

    Keeps a number for each lead it has seen, and no lead. Raises `Refused` for what isn't a lead with an id.
    """
    seen: set[int] = set()
    try:
        for lead in _items(chunks):
            lead_id = cast("dict[str, Any]", lead).get("id") if isinstance(lead, dict) else None
            if not isinstance(lead_id, str) or not lead_id:
                raise Refused(f"Export {export_id} holds something that is no lead with an id. {TRY_AGAIN}")
            if (number := hash(lead_id)) not in seen:
                seen.add(number)
                yield cast("dict[str, Any]", lead)
    except ijson.JSONError:
        raise CloseUnavailable(f"The file of export {export_id} is not whole.") from None  # it quotes the file


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


def check_in_backup(close: CloseClient, plan: Plan, matching: int, backup: Backup, *, whole: bool) -> None:
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


def _items(chunks: Iterator[bytes]) -> Iterator[object]:
    return cast("Iterator[object]", ijson.items(ijson.from_iter(chunks), "item"))  # pyright: ignore
