"""A validated request to the API: its caller, parameters, body and time zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from deployments.sandbox.database.store import Store
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.objects.events import Cause
from deployments.sandbox.organization import Organization, User
from deployments.sandbox.query.conditions import QueryContext
from deployments.sandbox.state import Member, State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid, NotAllowed
from deployments.sandbox.wire.moments import now

DEFAULT_LIMIT = 100
MAX_SKIP = 250_000
MOST_DIGITS = 18  # what the database can store
# The largest pages that connectors in production ask for; Close publishes none. 100 elsewhere.
LARGEST_PAGES = {
    "/lead/": 200,
    "/opportunity/": 250,
    "/saved_search/": 600,
    "/task/": 1000,
    **{f"/custom_field/{kind}/": 1000 for kind in ("lead", "contact", "opportunity")},
}
FIELDS, CURSOR = "_fields", "_cursor"
PAGING = ("_skip", "_limit")


@dataclass(frozen=True)
class Page:
    """Offset paging: how many to skip, and how many to return at most."""

    skip: int
    limit: int


@dataclass(frozen=True)
class ApiRequest:
    """A validated request, and what a handler needs to respond to it."""

    state: State
    worker: Worker
    member: Member
    method: str
    path: str
    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: Body
    offset: timedelta
    request_id: str

    @property
    def store(self) -> Store:
        """The database of the caller's organisation."""
        return self.member.tenant.store

    @property
    def user(self) -> User:
        """The caller."""
        return self.member.user

    @property
    def organization(self) -> Organization:
        """The caller's organisation."""
        return self.member.tenant.organization

    @property
    def cause(self) -> Cause:
        """The cause of changes made by this request, for the event log."""
        return Cause(self.user.id, self.request_id, self.method, f"/api/v1{self.path}")

    @property
    def index_lag(self) -> timedelta:
        """How long the search index lags behind this request."""
        return timedelta(seconds=self.state.behaviour.index_lag_seconds)

    @property
    def ignored_keys(self) -> tuple[str, ...]:
        """Keys of a new lead, contact or task that only Close sets."""
        dates = ("date_created",) if self.state.behaviour.undocumented_dates == "ignored" else ()
        return ("id", "created_by", "updated_by", "date_updated", *dates)

    def query_context(self) -> QueryContext:
        """The context of a query in this request."""
        return QueryContext(now=now(), offset=self.offset, user_id=self.user.id, behaviour=self.state.behaviour)

    def require(self, permission: str, action: str) -> None:
        """Raise NotAllowed unless the caller's role grants *permission*."""
        if permission not in self.user.permissions:
            raise NotAllowed(self.state.behaviour.not_allowed_status, action)

    def fields(self) -> list[str] | None:
        """The fields in `_fields`, or None for all."""
        wanted = self.query.get(FIELDS)
        return None if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]

    def page(self) -> Page:
        """`_skip` and `_limit`. Raises Invalid."""
        max_limit = LARGEST_PAGES.get(self.path, DEFAULT_LIMIT)
        skip, limit = self.non_negative("_skip", 0), self.non_negative("_limit", DEFAULT_LIMIT)
        if skip > MAX_SKIP:
            raise Invalid(
                f"The skip you set is larger than the maximum skip for this resource (max_skip = {MAX_SKIP}). "
                "Narrow the search down instead."
            )
        if limit > max_limit:
            raise Invalid(
                f"The limit you set is larger than the maximum limit for this resource (max_limit = {max_limit})."
            )
        return Page(skip, limit)

    def non_negative(self, name: str, default: int) -> int:
        """A parameter that is a number. Raises Invalid."""
        text = self.query.get(name)
        if text is None:
            return default
        kind = "a non-negative integer" if text.startswith("-") else "an integer"
        if not text.isdecimal() or len(text) > MOST_DIGITS:
            raise Invalid(f'{name} must be {kind} (got "{text}" instead).')
        return int(text)
