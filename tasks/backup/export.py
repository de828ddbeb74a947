"""Exporting leads from Close: waiting for an export, and storing it while it is downloaded."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import ijson  # pyright: ignore[reportMissingTypeStubs]

from tasks.backup.archive import Archive, Written
from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, RateLimited
from tasks.close.polling import next_poll
from tasks.close.resources import Export, ExportStatus
from tasks.criteria.reading import agreeing
from tasks.criteria.selection import Criteria
from tasks.report.progress import Progress
from tasks.runs.outcomes import Refused
from tasks.runs.own_state import OwnState

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
PATIENCE = 2 * HOUR
"""How long Close may take to export. It documents nothing; no run should hold a worker for longer."""
DOWNLOADS = 3
TELL_EVERY = 100  # leads
DOWNLOAD_AGAIN_AFTER = 5.0  # seconds
TRY_AGAIN = "There is no backup, so nothing was deleted: try again."


def finished_export(close: CloseClient, export: Export) -> Export:
    """Wait for an export that was started. Raises `Refused` if it fails or takes too long.

    Close being away doesn't end the wait; the deadline does.
    """
    started = close.clock()
    deadline = started + PATIENCE.total_seconds()
    own, progress = OwnState(), Progress("exported", close.clock)
    while not export.finished:
        now = close.clock()
        progress.show(export.processed, export.total)
        if now >= deadline:
            late = f"After {PATIENCE / HOUR:.0f} hours Close has not finished export {export.id} ({export.status})."
            raise Refused(f"{late} {TRY_AGAIN}")
        own.sleep(close.sleep, min(next_poll(now - started), deadline - now))
        try:
            export = close.export(export.id)
        except (CloseUnavailable, RateLimited) as error:
            logger.warning("Could not ask Close for the export: %s", error)
    if export.status != ExportStatus.DONE:
        raise Refused(f"Close reports {export.status} for export {export.id}. {TRY_AGAIN}")
    return export


def store(close: CloseClient, export: Export, archive: Archive, criteria: Criteria) -> Written:
    """Download an export that is done, and write its leads while they come in. Three attempts.

    Raises `Refused` if one of them contradicts the *criteria* in our own reading.
    """
    progress = Progress("backed up", close.clock)
    left = DOWNLOADS
    while True:
        left -= 1
        try:
            with close.download(export.id) as chunks:
                leads = OwnState().during(agreeing(leads_in(chunks, export.id), criteria))
                return archive.write_leads(_shown(leads, progress, export.total))
        except CloseUnavailable as error:
            if not left:
                raise
            logger.warning("%s", error)
            close.sleep(DOWNLOAD_AGAIN_AFTER)


def _shown(leads: Iterator[dict[str, Any]], progress: Progress, total: int | None) -> Iterator[dict[str, Any]]:
    """Yield the *leads*, and show how many they are, now and then."""
    number = 0
    for number, lead in enumerate(leads, 1):
        yield lead
        if number % TELL_EVERY == 0:
            progress.show(number, total)
    progress.show(number, total)


def leads_in(chunks: Iterator[bytes], export_id: str) -> Iterator[dict[str, Any]]:
    """Yield each lead in an export's file once, while it is read. Raises CloseUnavailable where the file breaks off.

    Remembers a number for each lead, not the lead. Raises `Refused` for what isn't a lead with an id.
    """
    seen: set[int] = set()
    try:
        for lead in cast("Iterator[object]", ijson.items(ijson.from_iter(chunks), "item")):  # pyright: ignore
            lead_id = cast("dict[str, Any]", lead).get("id") if isinstance(lead, dict) else None
            if not isinstance(lead_id, str) or not lead_id:
                raise Refused(f"Export {export_id} has an item that is not a lead with an id. {TRY_AGAIN}")
            if (number := hash(lead_id)) not in seen:
                seen.add(number)
                yield cast("dict[str, Any]", lead)
    except ijson.JSONError:
        raise CloseUnavailable(f"The file of export {export_id} is not whole.") from None  # it quotes the file
