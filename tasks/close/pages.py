"""From Close's answers to values: one object, a list page by page, a search by its cursor."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from tasks.close.answers import unusable_answer
from tasks.close.errors import BadRequest
from tasks.close.request import JSON, Request
from tasks.close.resources import Event, EventPage, ListPage, Resource, SearchPage
from tasks.close.transport import Transport

PAGE = 100  # rows of a list
SEARCH_PAGE = 200  # rows of a search; Close publishes no ceiling, 200 is in wide use
EVENT_PAGE = 50  # events of the log; Close sends no more at once
EVENTS_LATE_BY = timedelta(minutes=5)  # at most: so long after it, an event may yet show, and out of order
LONGEST_SEARCH = 10_000  # rows; Close ends a search by cursor here
IDLE_PAGES = 2  # in a row without a new object: a cursor may end on an empty page, but must end
ENDLESS = "its pages don't end"
RESTARTS = 3  # of a search whose cursor expired, which it does after 30 seconds

R = TypeVar("R", bound=Resource)


class SearchResult(NamedTuple):
    """What a search has found: how many there are, if that was asked for, and the rows that were read."""

    total: int | None
    rows: list[dict[str, Any]]


class Pages:
    """Reads through a transport. Raises CloseUnavailable for answers that aren't as Close documents them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def one(self, kind: type[R], request: Request) -> R:
        """Return the answer to *request*."""
        return parse(kind, self._transport.read(request), request)

    def whole(self, kind: type[R], endpoint: str) -> list[R]:
        """Return every object of a list that Close sends at once."""
        request = Request("GET", endpoint)
        page = parse(ListPage, {"has_more": False, **self._transport.read(request)}, request)
        return [parse(kind, row, request) for row in page.data]

    def every(self, kind: type[R], endpoint: str, **params: str) -> Iterator[R]:
        """Yield every object of a list."""
        request = Request("GET", endpoint)
        return (parse(kind, row, request) for row in self.rows(endpoint, **params))

    def rows(self, endpoint: str, **params: str) -> Iterator[dict[str, Any]]:
        """Yield every row of a list, none twice: a row added meanwhile would move others onto the next page."""
        seen: set[str] = set()
        skip = 0
        while True:
            request = Request("GET", endpoint, params={**params, "_limit": PAGE, "_skip": skip})
            page = self.one(ListPage, request)
            new = {row_id(row, request): row for row in page.data if row_id(row, request) not in seen}
            yield from new.values()
            if not page.has_more:
                return
            if not new:
                raise unusable_answer(request, "it says there is more, but there is nothing new")
            seen.update(new)
            skip += len(page.data)  # not PAGE: Close may send fewer than asked for

    def events(self, since: datetime, **wanted: str) -> Iterator[Event]:
        """Yield the events since an instant, newest first."""
        place: dict[str, str] = {"date_updated__gte": since.isoformat()}
        cursors: set[str] = set()
        idle = 0
        while True:
            request = Request("GET", "/event/", params={**wanted, **place})
            page = self.one(EventPage, request)
            late = [event for event in page.data if event.date_updated >= since]  # a page by cursor ignores the bound
            yield from late
            if not page.cursor_next or len(late) < len(page.data):
                return
            idle = 0 if late else idle + 1
            if page.cursor_next in cursors or idle > IDLE_PAGES:
                raise unusable_answer(request, ENDLESS)
            cursors.add(page.cursor_next)
            place = {"_cursor": page.cursor_next}

    def count(self, body: JSON) -> int:
        """Return how many objects the search *body* matches."""
        request = search_request({**body, "include_counts": True})
        return _total(self.one(SearchPage, request).count_total, request)

    def count_and_search(self, body: JSON, limit: int, few: int = 0) -> tuple[int, list[dict[str, Any]]]:
        """Return how many objects the search *body* matches, and the first *limit*, or all of *few* at most."""
        body = {**body, "include_counts": True}
        total, rows = self.search(body, limit, few)
        return _total(total, search_request(body)), rows

    def search(self, body: JSON, limit: int, few: int = 0) -> SearchResult:
        """Return the first *limit* rows of a search, none twice; all, if there are *few* at most.

        Starts over if the cursor expires, and then reads no more than *limit*: Close answers slowly.
        """
        for _ in range(1 + RESTARTS):
            try:
                return self._follow(body, limit, few)
            except BadRequest as error:
                if not error.names("cursor"):
                    raise
                few = 0
        raise unusable_answer(search_request(body), "its cursor expires before the next page can be read")

    def _follow(self, body: JSON, limit: int, few: int) -> SearchResult:
        """Follow a search's cursor to its end, or to *limit* rows if it has more than *few*."""
        rows: dict[str, dict[str, Any]] = {}
        cursors: set[str] = set()
        idle, total = 0, None
        request = search_request(body)
        while True:
            before = len(rows)
            page = self.one(SearchPage, request)
            if total is None and (total := page.count_total) and total <= few:
                limit = max(limit, total)
            rows.update((row_id(row, request), row) for row in page.data)
            if "cursor" not in page.model_fields_set:  # not the same as null, which is the end
                raise unusable_answer(request, "the cursor is missing")
            if not page.cursor or len(rows) >= limit:
                return SearchResult(total, list(rows.values())[:limit])
            idle = idle + 1 if len(rows) == before else 0
            if page.cursor in cursors or idle > IDLE_PAGES:
                raise unusable_answer(request, ENDLESS)
            cursors.add(page.cursor)
            request = search_request({**body, "cursor": page.cursor})


def _total(total: int | None, request: Request) -> int:
    if total is None:
        raise unusable_answer(request, "the count is missing")
    return total


def rows_of(query: JSON, object_type: str, fields: Sequence[str], sort: Sequence[JSON], limit: int) -> JSON:
    """Return the body of a search for the first *limit* objects, page by page."""
    if not 0 < limit <= LONGEST_SEARCH:
        raise ValueError(f"limit must be between 1 and {LONGEST_SEARCH}, where Close ends a search; it is {limit}.")
    return {
        "query": query,
        "_fields": {object_type: list(dict.fromkeys(["id", *fields]))},
        "_limit": min(limit, SEARCH_PAGE),
        "results_limit": limit,
        "sort": list(sort),
    }


def search_request(body: JSON) -> Request:
    """Return a search: a POST, but one that changes nothing."""
    return Request("POST", "/data/search/", body=body)


def row_id(row: JSON, request: Request) -> str:
    """Return the id of a row. Raises CloseUnavailable if it has none."""
    found = row.get("id")
    if not isinstance(found, str) or not found:
        raise unusable_answer(request, "a row has no id")
    return found


def parse(kind: type[R], answer: JSON, request: Request) -> R:
    """Return *answer* as a value. Raises CloseUnavailable if its shape isn't the documented one."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors(include_input=False)[:3])
        raise unusable_answer(request, f"unexpected {where}") from error
