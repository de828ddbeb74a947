"""/event/: the log of what happened."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from deployments.sandbox.api.filters import clauses, moments
from deployments.sandbox.api.rows import find
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import CURSOR, MOST_DIGITS, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.events import event_json
from deployments.sandbox.wire.errors import Invalid
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import EPOCH, now

events = schema.events
PAGE = 50
RETENTION = timedelta(days=30)
FULL_VIEW = timedelta(hours=1)  # how long users who aren't admins see an event's data
# The combinations of filters that Close allows, besides date_updated.
COMBINATIONS = (
    frozenset[str](),
    *(
        frozenset(names.split())
        for names in (
            "object_type object_id",
            "object_type action",
            "object_id action",
            "lead_id",
            "lead_id object_type",
            "lead_id object_type action",
            "lead_id user_id",
            "lead_id user_id object_type",
            "lead_id user_id object_type action",
            "user_id",
            "user_id object_id",
            "user_id object_id action",
            "user_id object_type",
            "user_id object_type action",
            "request_id",
        )
    ),
)
FILTERS = ("object_type", "object_id", "action", "lead_id", "user_id", "request_id")
UPDATED = moments("date_updated", events.c.date_updated)


def list_events(request: ApiRequest) -> JsonObject:
    """Events, newest first, in pages of 50."""
    limit = min(request.non_negative("_limit", PAGE), PAGE)
    wanted = _filters(request)
    cursor = request.query.get(CURSOR)  # an empty one is the first page: Close's own scripts begin with it
    newer = bool(cursor) and cursor.startswith("p")
    if cursor:
        if cursor[:1] not in ("n", "p") or not cursor[1:].isdecimal() or len(cursor) > MOST_DIGITS:
            raise Invalid("Invalid cursor.", (CURSOR,))
        edge = int(cursor[1:])
        wanted.append(events.c.pk > edge if newer else events.c.pk < edge)
    order = events.c.pk.asc() if newer else events.c.pk.desc()
    with request.store.reading() as connection:
        rows = list(connection.execute(select(events).where(*wanted).order_by(order).limit(limit + 1)).all())
    more, rows = len(rows) > limit, rows[:limit]
    if newer:
        rows.reverse()
    before, after = (newer and more) or (bool(cursor) and not newer), newer or more
    return {
        "data": [event_json(row, request.organization.id, details_since=_details_since(request)) for row in rows],
        "cursor_next": f"n{rows[-1].pk}" if rows and after else None,
        "cursor_previous": f"p{rows[0].pk}" if rows and before else None,
    }


def _filters(request: ApiRequest) -> list[ColumnElement[bool]]:
    wanted = {name: request.query[name] for name in FILTERS if name in request.query}
    if frozenset(wanted) not in COMBINATIONS:
        raise Invalid(f"This combination of filters is not supported: {', '.join(sorted(wanted))}.")
    retained = events.c.date_updated > now() - RETENTION
    return [retained, *(events.c[name] == value for name, value in wanted.items()), *clauses(request, UPDATED)]


def _details_since(request: ApiRequest) -> datetime:
    return EPOCH if request.user.role_id == "admin" else now() - FULL_VIEW


def one_event(request: ApiRequest) -> JsonObject:
    """One event."""
    with request.store.reading() as connection:
        row = find(connection, events, request.ids["id"], "Event")
    return event_json(row, request.organization.id, details_since=_details_since(request))


ROUTES = (route("/event/", "_limit", CURSOR, *FILTERS, *UPDATED, GET=list_events), route("/event/{id}/", GET=one_event))
