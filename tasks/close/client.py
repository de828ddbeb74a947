"""The parts of the Close API that a lead cleanup needs, as one menu.

    with CloseClient(CloseSettings()) as close:
        close.count({"type": "object_type", "object_type": "lead"})

Reads are retried while Close is unavailable or limits the rate, and so are exports and a pause. What starts or creates
something is retried only after answers that prove that nothing was accepted; a resume never is.
Whatever Close or the network does, every method raises a CloseError (tasks/close/errors.py) and nothing else.
"""

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from tasks.close.answers import unusable_answer
from tasks.close.errors import NotFound, WrongOrganization
from tasks.close.pages import Pages, parse, row_id, rows_of, search_request
from tasks.close.rate_limits import RateLimit
from tasks.close.request import JSON, Request
from tasks.close.resources import (
    ENDPOINTS,
    BulkDelete,
    CustomField,
    Event,
    EventPage,
    Export,
    FieldOwner,
    Kind,
    LeadStatus,
    Me,
    OpportunityStatus,
    Organization,
    SmartView,
)
from tasks.close.settings import CloseSettings
from tasks.close.transport import LONGEST_CONNECT, READ_PATIENCE, START_PATIENCE, Transport


class CloseClient:
    """Close, as one API key sees it. A context manager; safe to use from several threads.

    *sleep*, *clock* (seconds) and *random* (0 to 1) are arguments for tests; whoever waits for Close uses this client's
    `sleep` and `clock` too. *renew* is called when Close rejects the key, and returns settings with another key of the
    same user, or None. Raises MissingKey if the settings have no key.
    *patience* (seconds): for how long what can't be reached is tried again; where a person waits, not for long.
    """

    def __init__(
        self,
        settings: CloseSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
        renew: Callable[[], CloseSettings | None] = lambda: None,
        patience: float = READ_PATIENCE,
    ) -> None:
        self.sleep, self.clock = sleep, clock
        self._settings = settings
        self._transport = Transport(settings, sleep=sleep, clock=clock, random=random, renew=renew, patience=patience)
        self._pages = Pages(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def start_takes_at_most(self) -> float:
        """Seconds after which a call of `start_bulk_delete` has ended: its POST has reached Close, or never will."""
        return START_PATIENCE + LONGEST_CONNECT + 2 * self._settings.timeout

    @property
    def rate_limits(self) -> Mapping[str, RateLimit]:
        """The latest rate limits that Close sent, by method and endpoint, such as `POST /data/search/`."""
        return self._transport.rate_limits.seen

    @property
    def searches_left(self) -> int | None:
        """How many searches may be sent without waiting for the rate limit; None if Close hasn't said yet."""
        return self._transport.rate_limits.left(search_request({}).bucket)

    @property
    def time(self) -> datetime | None:
        """When Close last answered, to the second, by its own clock (UTC); None if it didn't say."""
        return self._transport.time

    def now(self) -> datetime:
        """The time (UTC) by Close's clock, else by this machine's, which may be wrong and may jump."""
        passed = timedelta(seconds=self.clock() - self._transport.answered_at)
        return self.time + passed if self.time else datetime.now(UTC)

    # Who and where

    def me(self) -> Me:
        """Return the user whose key this is. The cheapest way to check a key."""
        return self._pages.one(Me, Request("GET", "/me/"))

    def organization(self, organization_id: str) -> Organization:
        """Return an organisation with its members."""
        return self._pages.one(Organization, Request("GET", "/organization/{id}/", organization_id))

    def organization_id(self, statuses: Sequence[LeadStatus] | None = None) -> str:
        """Return the organisation this key acts in, by its lead *statuses*: a user may be a member of several.

        Reads them, unless they are given. Raises WrongOrganization if CLOSE_ORGANIZATION_ID is set to another.
        """
        found = {status.organization_id for status in (self.lead_statuses() if statuses is None else statuses)}
        if len(found) != 1 or not (organization_id := found.pop()):
            raise unusable_answer(Request("GET", "/status/lead/"), "it doesn't name one organisation")
        expected = self._settings.organization_id
        if expected and expected != organization_id:
            raise WrongOrganization(
                f"The API key belongs to {organization_id}, but CLOSE_ORGANIZATION_ID is {expected}: change either."
            )
        return organization_id

    # What an organisation has set up

    def lead_statuses(self) -> list[LeadStatus]:
        """Return every lead status. Close sends them all at once."""
        return self._pages.whole(LeadStatus, "/status/lead/")

    def opportunity_statuses(self) -> list[OpportunityStatus]:
        """Return every opportunity status of every pipeline. Close sends them all at once."""
        return self._pages.whole(OpportunityStatus, "/status/opportunity/")

    def custom_fields(self, owner: FieldOwner) -> list[CustomField]:
        """Return every custom field of *owner*. Close doesn't document whether shared custom fields are included."""
        return list(self._pages.every(CustomField, f"/custom_field/{owner}/"))

    def smart_views(self) -> list[SmartView]:
        """Return every Smart View of leads that this key's user can see."""
        return list(self._pages.every(SmartView, "/saved_search/", type="lead"))

    # Searching

    def count(self, query: JSON) -> int:
        """Return how many objects *query* (a bare node) matches, without reading them."""
        return self._pages.count({"query": query, "results_limit": 0})

    def search(
        self,
        query: JSON,
        *,
        object_type: str = "lead",
        fields: Sequence[str] = ("id",),
        sort: Sequence[JSON] = (),
        limit: int,
    ) -> list[dict[str, Any]]:
        """Return the first *limit* objects (at most 10,000) that *query* matches, none twice, with *fields* and ids.

        Starts over if Close's cursor expires. Raises CloseUnavailable if the pages don't end.
        """
        return self._pages.search(rows_of(query, object_type, fields, sort, limit), limit).rows

    def count_and_search(
        self, query: JSON, *, fields: Sequence[str] = ("id",), sort: Sequence[JSON] = (), limit: int, few: int = 0
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return how many leads match, and the first *limit*, or all if they are *few* at most; see `search`."""
        return self._pages.count_and_search(rows_of(query, "lead", fields, sort, max(limit, few)), limit, few)

    # Bulk deletes

    def bulk_delete(self, bulk_delete_id: str) -> BulkDelete:
        """Return one bulk delete in its present state. Raises NotFound."""
        return self._pages.one(BulkDelete, Request("GET", "/bulk_action/delete/{id}/", bulk_delete_id))

    def bulk_deletes(self) -> list[BulkDelete]:
        """Return every bulk delete of the organisation. Close doesn't document their order, so the whole list is read.

        Raises CloseUnavailable if a page can't be read: a short list would look like "never started".
        """
        return list(self._pages.every(BulkDelete, "/bulk_action/delete/"))

    def start_bulk_delete(self, query: JSON) -> BulkDelete:
        """Start a bulk delete of every lead that *query* (a bare node) matches.

        Close has no idempotency key: a second POST starts a second one. So it is retried only after answers that prove
        that nothing was accepted, for at most 10 seconds. If an error's `nothing_started` is false, Close may be
        deleting.
        """
        if not query.get("type"):
            raise ValueError("A bulk delete needs a query node with a type; to Close, no query may mean every lead.")
        body: JSON = {"s_query": query, "results_limit": None, "sort": [], "send_done_email": False}
        request = Request("POST", "/bulk_action/delete/", body=body)
        return parse(BulkDelete, self._transport.start(request), request)

    def pause_bulk_delete(self, bulk_delete_id: str, *, patience: float | None = None) -> BulkDelete:
        """Ask Close to stop deleting. Close documents `{"status": "paused"}` but not the address: we assume it.

        Retried as a read, or for *patience* (seconds): a retry would pause it again if it was resumed meanwhile.
        """
        request = _status(bulk_delete_id, "paused")
        return parse(BulkDelete, self._transport.read(request, patience), request)

    def resume_bulk_delete(self, bulk_delete_id: str) -> BulkDelete:
        """Ask Close to resume; it refuses after seven days. The address is assumed, as for pausing. Never retried."""
        request = _status(bulk_delete_id, "resuming")
        return parse(BulkDelete, self._transport.send_once(request), request)

    # Exports

    def start_export(self, query: JSON) -> Export:
        """Have Close export every lead that *query* (a bare node) matches, with its activities and smart fields.

        Retried, unlike a bulk delete: an extra export does no harm.
        """
        if not query.get("type"):
            raise ValueError("An export needs a query node with a type; to Close, no query means every lead.")
        body: JSON = {
            "s_query": query,
            "format": "json",
            "type": "leads",
            "include_activities": True,
            "include_smart_fields": True,
            "send_done_email": False,
        }
        return self._pages.one(Export, Request("POST", "/export/lead/", body=body))

    def export(self, export_id: str) -> Export:
        """Return one export in its present state. Raises NotFound."""
        return self._pages.one(Export, Request("GET", "/export/{id}/", export_id))

    @contextmanager
    def download(self, export_id: str) -> Generator[Iterator[bytes]]:
        """Yield the file of a finished export, decompressed, in chunks. We assume that it is one JSON array of leads.

        Asks for the file's address first, since that expires within a minute. Raises CloseUnavailable if there is no
        address, or if the download is interrupted; a file that Close itself cut short may raise nothing.
        """
        request = Request("GET", "/export/{id}/", export_id)
        url = self._pages.one(Export, request).download_url
        if not url:
            raise unusable_answer(request, "it has no address to download from")
        with self._transport.download(url, request.path) as chunks:
            yield chunks

    # Leads and what belongs to them, one at a time

    def lead(self, lead_id: str) -> dict[str, Any] | None:
        """Return a lead with its contacts, or None if it was deleted or belongs to another organisation."""
        request = Request("GET", "/lead/{id}/", lead_id)
        try:
            return dict(self._transport.read(request))
        except NotFound:
            return None

    def belonging_to(self, lead_id: str, kind: Kind) -> list[dict[str, Any]]:
        """Return all objects of one *kind* that belong to a lead, tasks of every type included."""
        every = {"_type": "all"} if kind == "task" else {}
        return list(self._pages.rows(ENDPOINTS[kind], lead_id=lead_id, **every))

    def create(self, kind: Kind, body: JSON) -> dict[str, Any]:
        """Create one object and return it as Close shows it.

        Close has no idempotency key: a second POST creates a second object. So it is retried only after answers that
        prove that nothing was accepted, for at most two minutes. If an error's `nothing_started` is false, the object
        may exist.
        """
        request = Request("POST", ENDPOINTS[kind], body=body)
        created = dict(self._transport.create(request))
        row_id(created, request)
        return created

    # Events

    def lead_events(self, action: Literal["created", "deleted"], since: datetime, **filters: str) -> Iterator[Event]:
        """Return the events of leads since an instant by Close's own clock, newest first.

        Close keeps events for 30 days, and documents that those of the last five minutes may arrive late.
        """
        return self._pages.events(since, object_type="lead", action=action, **filters)

    def newest_event(self) -> datetime | None:
        """Return the instant of the newest event, by Close's own clock; None if there is no event."""
        page = self._pages.one(EventPage, Request("GET", "/event/", params={"_limit": 1}))
        return page.data[0].date_updated if page.data else None


def _status(bulk_delete_id: str, status: str) -> Request:
    return Request("PUT", "/bulk_action/delete/{id}/", bulk_delete_id, body={"status": status})
