"""What belongs to leads: /contact/, /opportunity/, /task/, /activity/…/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, update
from starlette.routing import Route

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import Call, page_of
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects import serialize_children, serialize_leads, write_children, write_leads
from deployments.sandbox.objects.delete_leads import existing
from deployments.sandbox.objects.events import Change, record, updated
from deployments.sandbox.objects.labels import Labels, read_labels
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, Invalid, NotFound
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now, read_moment

EQUAL = ("id", "user_id", "contact_id", "assigned_to", "status_id", "status_type", "value_period")
DATES = ("date_created", "date_updated", "activity_at", "date_won", "date")
COMPARISONS: dict[str, Callable[[Any, datetime], ColumnElement[bool]]] = {
    "gt": lambda column, moment: column > moment,
    "gte": lambda column, moment: column >= moment,
    "lt": lambda column, moment: column < moment,
    "lte": lambda column, moment: column <= moment,
}
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Kind:
    """One kind of object: its table, how it is shown, added and changed."""

    name: str
    table: Table
    add: Callable[[Connection, Body, int, str], Row[Any]]
    values: Callable[[Body], dict[str, Any]]
    activity: str | None = None

    def show(self, connection: Connection, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
        """The objects as Close shows them."""
        return serialize_leads.children_json(connection, self.table, rows, labels)

    def where(self) -> list[ColumnElement[bool]]:
        """Only rows of this kind, and none of deleted leads."""
        mine = [self.table.c.type == self.activity] if self.activity else []
        return [*mine, existing(self.table.c.lead_pk)]


def _contact_values(body: Body) -> dict[str, Any]:
    return {key: body.text(key) for key in ("name", "title") if key in body}


def _add_task(connection: Connection, body: Body, lead_pk: int, user_id: str) -> Row[Any]:
    body.choice("_type", ("lead", "outgoing_call"), "lead")  # tasks of other types only Close makes
    return write_children.add_task(connection, body, lead_pk, user_id)


def _activity(kind: str) -> Kind:
    def add(connection: Connection, body: Body, lead_pk: int, user_id: str) -> Row[Any]:
        return write_children.add_activity(connection, body, kind, lead_pk, user_id)

    def values(body: Body) -> dict[str, Any]:
        return write_children.activity_values(body, kind)

    return Kind(serialize_children.ACTIVITY_TYPES[kind], schema.activities, add, values, kind)


CONTACT = Kind("Contact", schema.contacts, write_leads.add_contact, _contact_values)
OPPORTUNITY = Kind(
    "Opportunity", schema.opportunities, write_children.add_opportunity, write_children.opportunity_values
)
TASK = Kind("Task", schema.tasks, _add_task, write_children.task_values)
ACTIVITIES = {kind: _activity(kind) for kind in ("note", "call", "sms", "email", "meeting")}
ANY_ACTIVITY = replace(ACTIVITIES["note"], name="Activity", activity=None)


def _filters(call: Call, kind: Kind) -> list[ColumnElement[bool]]:
    """What the query parameters ask for; those that Close knows and the sandbox doesn't have no effect."""
    table, clauses = kind.table, kind.where()
    if kind is TASK and (wanted := call.query.get("_type", "lead")) != "all" and "_type__in" not in call.query:
        clauses.append(table.c.type == wanted)
    for name, value in call.query.items():
        column, _, comparison = name.partition("__")
        if column == "lead_id" and not comparison:
            clauses.append(table.c.lead_pk.in_(select(schema.leads.c.pk).where(schema.leads.c.id == value)))
        elif column == "is_complete" and column in table.c:
            clauses.append(table.c.is_complete.is_(TRUTH.get(value.lower(), False)))
        elif column in EQUAL and column in table.c and comparison in ("", "in"):
            clauses.append(table.c[column].in_(value.split(",") if comparison else [value]))
        elif column in DATES and column in table.c and comparison in COMPARISONS:
            clauses.append(COMPARISONS[comparison](table.c[column], _moment(name, value)))
    return clauses


def _moment(name: str, value: str) -> datetime:
    try:
        return read_moment(value)
    except ValueError:
        raise Invalid("Could not parse datetime", (name,)) from None


def _listing(call: Call, kind: Kind) -> JsonObject:
    page, table, clauses = call.page(), kind.table, _filters(call, kind)
    with call.store.reading() as connection:
        query = select(table).where(*clauses).order_by(table.c.date_created.desc(), table.c.pk)
        rows = connection.execute(query.offset(page.skip).limit(page.limit + 1)).all()
        found = kind.show(connection, rows, read_labels(connection, call.organization))
        answer = page_of([select_fields(each, call.fields()) for each in found], page)
        if kind is OPPORTUNITY:
            answer["total_results"] = connection.execute(
                select(func.count()).select_from(table).where(*clauses)
            ).scalar_one()
    return answer


def _find(call: Call, connection: Connection, kind: Kind) -> Row[Any]:
    row = connection.execute(select(kind.table).where(kind.table.c.id == call.ids["id"], *kind.where())).one_or_none()
    if row is None:
        raise NotFound(kind.name)
    return row


def _one(call: Call, kind: Kind) -> JsonObject:
    with call.store.reading() as connection:
        row = _find(call, connection, kind)
        found = kind.show(connection, [row], read_labels(connection, call.organization))[0]
    return select_fields(found, call.fields())


def _add(call: Call, kind: Kind) -> JsonObject:
    ignored = call.ignored if kind in (CONTACT, TASK) else ("id", "created_by", "updated_by", "date_updated")
    own = Body(call.body.rest(ignored))
    _check_users(call, own)
    with call.store.writing() as connection:
        if kind in (CONTACT, OPPORTUNITY):
            write_leads.check_custom_values(connection, own, kind.name.lower())
        lead = _lead_for(call, connection, kind, own)
        row = kind.add(connection, own, lead.pk, call.user.id)
        found = kind.show(connection, [row], read_labels(connection, call.organization))[0]
        event = serialize_children.event_type(kind.table.name, row)
        record(connection, call.cause, [Change("created", event, row.id, lead.id, found)])
    return select_fields(found, call.fields())


def _check_users(call: Call, body: Body) -> None:
    members = {user.id for user in call.organization.users}
    for key in ("user_id", "assigned_to"):
        if (user_id := body.text(key)) is not None and user_id not in members:
            raise body.invalid(key, NO_SUCH_OBJECT)


def _lead_for(call: Call, connection: Connection, kind: Kind, body: Body) -> Row[Any]:
    """The lead named in the request. A contact or opportunity without one gets a new lead, as Close does."""
    if kind in (CONTACT, OPPORTUNITY) and body.text("lead_id") is None:
        name: JsonObject = {"name": body.text("name")}
        lead = write_leads.add_lead(connection, Body(name), call.user.id, call.lag)
        shown = serialize_leads.lead_json(lead, read_labels(connection, call.organization))
        record(connection, call.cause, [Change("created", "lead", lead.id, lead.id, shown)])
        return lead
    return write_leads.required_lead(connection, body)


def _change(call: Call, kind: Kind) -> JsonObject:
    known = {
        *(column.name for column in kind.table.c),
        *write_leads.DERIVED,
        *write_leads.STAMPS,
        "emails",
        "phones",
        "urls",
    }
    with call.store.writing() as connection:
        before = _find(call, connection, kind)
        labels = read_labels(connection, call.organization)
        shown = kind.show(connection, [before], labels)[0]
        values = {**kind.values(call.body), "date_updated": now(), "updated_by": call.user.id}
        extra: dict[str, Json] = {**(before.extra or {}), **call.body.rest(known)}
        values["extra"] = extra or None
        if kind is CONTACT:
            write_leads.set_reachable(connection, before.pk, call.body)
        changed = update(kind.table).where(kind.table.c.pk == before.pk).values(values).returning(kind.table)
        after = kind.show(connection, [connection.execute(changed).one()], labels)[0]
        event = serialize_children.event_type(kind.table.name, before)
        record(connection, call.cause, updated(event, str(after["lead_id"]), shown, after))
    return select_fields(after, call.fields())


def _remove(call: Call, kind: Kind) -> JsonObject:
    with call.store.writing() as connection:
        row = _find(call, connection, kind)
        shown = kind.show(connection, [row], read_labels(connection, call.organization))[0]
        if kind is CONTACT:
            for table in schema.REACHABLE:
                connection.execute(delete(table).where(table.c.contact_pk == row.pk))
        connection.execute(delete(kind.table).where(kind.table.c.pk == row.pk))
        event = serialize_children.event_type(kind.table.name, row)
        change = Change("deleted", event, row.id, str(shown["lead_id"]), previous=shown)
        record(connection, call.cause, [change])
    return {}


def activities(call: Call) -> JsonObject:
    """Activities of all kinds."""
    return _listing(call, ANY_ACTIVITY)


def _routes(path: str, kind: Kind) -> tuple[Route, Route]:
    def bind(work: Callable[[Call, Kind], JsonObject]) -> Callable[[Call], JsonObject]:
        return lambda call: work(call, kind)

    return (
        route(path, GET=bind(_listing), POST=bind(_add)),
        route(f"{path}{{id}}/", GET=bind(_one), PUT=bind(_change), DELETE=bind(_remove)),
    )


ROUTES = (
    *_routes("/contact/", CONTACT),
    *_routes("/opportunity/", OPPORTUNITY),
    *_routes("/task/", TASK),
    route("/activity/", GET=activities),
    *(each for name, kind in ACTIVITIES.items() for each in _routes(f"/activity/{name}/", kind)),
)
