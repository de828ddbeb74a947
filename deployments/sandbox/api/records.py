"""/event/, the log of what happened, and /export/, copies to download."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from deployments.sandbox import exports, schema
from deployments.sandbox.answering import route
from deployments.sandbox.call import Call, page_of
from deployments.sandbox.events import event_json
from deployments.sandbox.moments import EPOCH, now, read_moment
from deployments.sandbox.render import select_fields
from deployments.sandbox.searching import prepare
from deployments.sandbox.wire import ApiError, Body, Invalid, JsonObject, NotFound

events, files = schema.events, schema.exports
PAGE = 50
RETENTION = timedelta(days=30)
FULL_VIEW = timedelta(hours=1)  # how long people who aren't admins see what an event is about
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


def list_events(call: Call) -> JsonObject:
    """Events, latest first, in pages of 50."""
    limit = min(call.page(max_limit=PAGE).limit, PAGE)
    clauses = _filters(call)
    cursor = call.query.get("_cursor")
    newer = cursor is not None and cursor.startswith("p")
    if cursor is not None:
        if cursor[:1] not in ("n", "p") or not cursor[1:].isdecimal():
            raise Invalid("Invalid cursor.", ("_cursor",))
        edge = int(cursor[1:])
        clauses.append(events.c.pk > edge if newer else events.c.pk < edge)
    order = events.c.pk.asc() if newer else events.c.pk.desc()
    with call.store.reading() as connection:
        rows = list(connection.execute(select(events).where(*clauses).order_by(order).limit(limit + 1)).all())
    more, rows = len(rows) > limit, rows[:limit]
    if newer:
        rows.reverse()
    before, after = (newer and more) or (cursor is not None and not newer), newer or more
    return {
        "data": [event_json(row, call.organization.id, details_since=_details_since(call)) for row in rows],
        "cursor_next": f"n{rows[-1].pk}" if rows and after else None,
        "cursor_previous": f"p{rows[0].pk}" if rows and before else None,
    }


def _filters(call: Call) -> list[ColumnElement[bool]]:
    wanted = {name: call.query[name] for name in FILTERS if name in call.query}
    if frozenset(wanted) not in COMBINATIONS:
        raise Invalid(f"This combination of filters is not supported: {', '.join(sorted(wanted))}.")
    clauses = [events.c[name] == value for name, value in wanted.items()]
    clauses.append(events.c.date_updated > now() - RETENTION)
    moment = events.c.date_updated
    for name, value in call.query.items():
        if not name.startswith("date_updated"):
            continue
        try:
            edge = read_moment(value)
        except ValueError:
            raise Invalid("Could not parse datetime", (name,)) from None
        compared = {
            "gt": moment > edge,
            "gte": moment >= edge,
            "lt": moment < edge,
            "lte": moment <= edge,
            "": moment == edge,
        }
        comparison = name.removeprefix("date_updated").removeprefix("__")
        if comparison not in compared:
            raise Invalid("Not a valid choice.", (name,))
        clauses.append(compared[comparison])
    return clauses


def _details_since(call: Call) -> datetime:
    return EPOCH if call.user.role_id == "admin" else now() - FULL_VIEW


def one_event(call: Call) -> JsonObject:
    """One event."""
    with call.store.reading() as connection:
        row = connection.execute(select(events).where(events.c.id == call.ids["id"])).one_or_none()
    if row is None:
        raise NotFound("Event")
    return event_json(row, call.organization.id, details_since=_details_since(call))


def add_export(call: Call) -> JsonObject:
    """Start an export of leads; of all leads when there is no s_query."""
    call.need("export", "export leads")
    options = exports.read_options(call.body)
    with call.store.writing() as connection:
        query = call.body.object("s_query")
        checked = query if query and query.data else Body(exports.EVERYTHING, ("s_query",))
        if prepare(connection, checked, call.body.objects("sort"), call.asker()).search.object_type != "lead":
            raise Invalid("Only leads can be exported here.", ("s_query",))
        export = exports.start(connection, call.cause, call.organization.id, options, call.offset)
    call.worker.wake()
    return exports.export_json(export, call.organization.id, call.state.base)


def list_exports(call: Call) -> JsonObject:
    """The exports, latest first."""
    page = call.page()
    with call.store.reading() as connection:
        rows = connection.execute(
            select(files).order_by(files.c.pk.desc()).offset(page.skip).limit(page.limit + 1)
        ).all()
    found = [exports.export_json(row, call.organization.id, call.state.base) for row in rows]
    return page_of([select_fields(each, call.fields()) for each in found], page)


def one_export(call: Call) -> JsonObject:
    """One export."""
    with call.store.reading() as connection:
        row = connection.execute(select(files).where(files.c.id == call.ids["id"])).one_or_none()
    if row is None:
        raise NotFound("Export")
    return select_fields(exports.export_json(row, call.organization.id, call.state.base), call.fields())


def _only_leads(_: Call) -> JsonObject:
    raise ApiError(400, {"error": "The sandbox exports leads only."})


ROUTES = (
    route("/event/", GET=list_events),
    route("/event/{id}/", GET=one_event),
    route("/export/", GET=list_exports),
    route("/export/lead/", GET=list_exports, POST=add_export),
    route("/export/opportunity/", POST=_only_leads),
    route("/export/{id}/", GET=one_export),
    route("/export/lead/{id}/", GET=one_export),
)
