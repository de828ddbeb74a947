"""One request to the API, read and checked: who asks, for what, from which time zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from deployments.sandbox.database.store import Store
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.objects.events import Cause
from deployments.sandbox.organization import Organization, User
from deployments.sandbox.query.conditions import Asker
from deployments.sandbox.state import Member, State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid, NotAllowed
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now

MAX_LIMIT = 100
MAX_SKIP = 250_000


@dataclass(frozen=True)
class Page:
    """Offset paging: how many to skip, how many to show at most."""

    skip: int
    limit: int


@dataclass(frozen=True)
class Call:
    """A request and all that answering it takes."""

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
        """What the event log says about changes made by this request."""
        return Cause(self.user.id, self.request_id, self.method, f"/api/v1{self.path}")

    @property
    def lag(self) -> timedelta:
        """How long the search index takes to notice what this request changes."""
        return timedelta(seconds=self.state.behaviour.index_lag_seconds)

    @property
    def ignored(self) -> tuple[str, ...]:
        """What of a new lead, contact or task only Close sets, whatever it is sent."""
        dates = ("date_created",) if self.state.behaviour.undocumented_dates == "ignored" else ()
        return ("id", "created_by", "updated_by", "date_updated", *dates)

    def asker(self) -> Asker:
        """The caller as the one who asks a query, now."""
        return Asker(now=now(), offset=self.offset, user_id=self.user.id, behaviour=self.state.behaviour)

    def need(self, permission: str, action: str) -> None:
        """Raise NotAllowed unless the caller's role grants *permission*."""
        if permission not in self.user.permissions:
            raise NotAllowed(self.state.behaviour.not_allowed_status, action)

    def fields(self) -> list[str] | None:
        """The fields asked for by `_fields`, or None for all."""
        wanted = self.query.get("_fields")
        return None if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]

    def page(self, max_limit: int = MAX_LIMIT) -> Page:
        """`_skip` and `_limit`. Raises Invalid where they are wrong or too large."""
        skip, limit = self._whole("_skip", 0), self._whole("_limit", max_limit)
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

    def _whole(self, name: str, default: int) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        kind = "a non-negative integer" if text.startswith("-") else "an integer"
        if not text.isdecimal():
            raise Invalid(f'{name} must be {kind} (got "{text}" instead).')
        return int(text)


def page_of(items: list[JsonObject], page: Page) -> JsonObject:
    """A list answer from up to one item more than the page has room for."""
    return {"data": [*items[: page.limit]], "has_more": len(items) > page.limit}
