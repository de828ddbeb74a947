"""Exporting leads from Close: start, wait, download while storing."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import ijson  # pyright: ignore[reportMissingTypeStubs]

from tasks.backup.archive import Archive, Written
from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, RateLimited
from tasks.close.polling import Pace
from tasks.close.resources import Export, ExportStatus
from tasks.runs.outcomes import Refused

logger = logging.getLogger(__name__)

PATIENCE = timedelta(hours=2)
"""How long Close may take to export. It documents nothing; nobody's run should hold a worker for longer."""
Check = Callable[[Iterator[dict[str, Any]]], Iterator[dict[str, Any]]]
"""Gives on the leads that it gets, and may raise `Refused`."""
DOWNLOADS = 3
DOWNLOAD_AGAIN_AFTER = 5.0  # seconds


def finished_export(close: CloseClient, s_query: dict[str, Any]) -> Export:
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
            logger.warning("Close can't be asked for the export just now: %s", error)
    if export.status != ExportStatus.DONE:
        raise Refused(f"Close reports {export.status} for export {export.id}. {TRY_AGAIN}")
    return export


TRY_AGAIN = "There is no backup, so nothing was deleted: try again."


def store(close: CloseClient, export: Export, archive: Archive, check: Check) -> Written:
    """Download an export that is done, and write its leads while they come in. Tried three times in all."""
    for _ in range(DOWNLOADS - 1):
        try:
            return _download(close, export, archive, check)
        except CloseUnavailable as error:
            logger.warning("%s", error)
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


def _items(chunks: Iterator[bytes]) -> Iterator[object]:
    return cast("Iterator[object]", ijson.items(ijson.from_iter(chunks), "item"))  # pyright: ignore
