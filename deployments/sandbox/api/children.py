"""What belongs to leads: /contact/, /opportunity/, /task/, /activity/…/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, update
from starlette.routing import Route

from deployments.sandbox.api.filters import (
    OF_ACTIVITIES,
    OF_CONTACTS,
    OF_OPPORTUNITIES,
    OF_TASKS,
    OPPORTUNITY_ORDERS,
    TASK_ORDERS,
    Filters,
    clauses,
    order,
)
from deployments.sandbox.api.rows import find, page_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.delete_leads import not_deleted
from deployments.sandbox.objects.events import Change, changes_between, record
from deployments.sandbox.objects.labels import Labels, read_labels
from deployments.sandbox.objects.serialize_children import ACTIVITY_TYPES, event_type
from deployments.sandbox.objects.serialize_leads import children_json, logged_leads, rows_of
from deployments.sandbox.objects.write_children import (
    activity_values,
    add_activity,
    add_opportunity,
    add_task,
    add_task_completed,
    opportunity_values,
    task_values,
)
from deployments.sandbox.objects.write_leads import (
    add_contact,
    add_lead,
    check_custom_values,
    extra_fields,
    required_lead,
    set_reachable,
)
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now


@dataclass(frozen=True)
class Kind:
    """One kind of object: its table, and how it is serialized, created and updated."""

    name: str
    table: Table
    add: Callable[[Connection, Body, int, str], Row[Any]]
    values: Callable[[Body], dict[str, Any]]
    filters: Filters
    orders: Mapping[str, ColumnElement[Any]]
    activity: str | None = None

    def show(self, connection: Connection, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
        """Returns the objects as Close shows them."""
        return children_json(connection, self.table, rows, labels)

    def where(self) -> list[ColumnElement[bool]]:
        """Conditions for rows of this kind, without those of deleted leads."""
        mine = [self.table.c.type == self.activity] if self.activity else []
        return [*mine, not_deleted(self.table.c.lead_pk)]


def _contact_values(body: Body) -> dict[str, Any]:
    return {key: body.text(key) for key in ("name", "title") if key in body}


def _add_task(connection: Connection, body: Body, lead_pk: int, user_id: str) -> Row[Any]:
    body.choice("_type", ("lead", "outgoing_call"), "lead")  # only Close creates tasks of other types
    return add_task(connection, body, lead_pk, user_id)


def _activity(kind: str) -> Kind:
    def add(connection: Connection, body: Body, lead_pk: int, user_id: str) -> Row[Any]:
        return add_activity(connection, body, kind, lead_pk, user_id)

    def values(body: Body) -> dict[str, Any]:
        return activity_values(body, kind)

    return Kind(ACTIVITY_TYPES[kind], schema.activities, add, values, OF_ACTIVITIES, {}, kind)


CONTACT = Kind("Contact", schema.contacts, add_contact, _contact_values, OF_CONTACTS, {})
OPPORTUNITY = Kind(
    "Opportunity", schema.opportunities, add_opportunity, opportunity_values, OF_OPPORTUNITIES, OPPORTUNITY_ORDERS
)
TASK = Kind("Task", schema.tasks, _add_task, task_values, OF_TASKS, TASK_ORDERS)
ACTIVITIES = {kind: _activity(kind) for kind in ("note", "call", "sms", "email", "meeting")}
# Close makes these: they can't be created or changed.
TASK_COMPLETED = _activity("task_completed")
ANY_ACTIVITY = replace(ACTIVITIES["note"], name="Activity", activity=None)


def _listing(request: ApiRequest, kind: Kind) -> JsonObject:
    """A page of objects."""
    table, wanted = kind.table, [*kind.where(), *clauses(request, kind.filters)]
    if kind is TASK and not {"_type", "_type__in"} & set(request.query):
        wanted.append(table.c.type == "lead")
    order_by = order(request, kind.orders, [table.c.date_created.desc(), table.c.pk])
    with request.store.reading() as connection:
        query = select(table).where(*wanted).order_by(*order_by)
        labels = read_labels(connection, request.organization)
        answer = page_of(request, connection, query, lambda rows: kind.show(connection, rows, labels))
        if kind is OPPORTUNITY:
            total = select(func.count()).select_from(table).where(*wanted)
            answer["total_results"] = connection.execute(total).scalar_one()
    return answer


def _find(request: ApiRequest, connection: Connection, kind: Kind) -> Row[Any]:
    return find(connection, kind.table, request.ids["id"], kind.name, *kind.where())


def _one(request: ApiRequest, kind: Kind) -> JsonObject:
    with request.store.reading() as connection:
        row = _find(request, connection, kind)
        return kind.show(connection, [row], read_labels(connection, request.organization))[0]


def _add(request: ApiRequest, kind: Kind) -> JsonObject:
    ignored = request.ignored_keys if kind in (CONTACT, TASK) else ("id", "created_by", "updated_by", "date_updated")
    own = Body(request.body.without(ignored))
    _check_users(request, own)
    with request.store.writing() as connection:
        if kind in (CONTACT, OPPORTUNITY):
            check_custom_values(connection, own, kind.name.lower())
        lead = _lead_for(request, connection, kind, own)
        labels = read_labels(connection, request.organization)
        before = logged_leads(connection, [lead], labels)[0]
        row = kind.add(connection, own, lead.pk, request.user.id)
        found = kind.show(connection, [row], labels)[0]
        event = event_type(kind.table, row)
        changes = [Change("created", event, row.id, lead.id, found)]
        changes += _of_lead(connection, lead, before, labels)
        if kind is TASK and row.is_complete:
            changes += _task_completed(request, connection, row, lead.id, labels)
        record(connection, request.cause, changes)
    return found


def _of_lead(connection: Connection, lead: Row[Any], before: JsonObject, labels: Labels) -> list[Change]:
    """The change of a lead to which a contact was added, or whose contact was deleted."""
    return changes_between("lead", lead.id, before, logged_leads(connection, [lead], labels)[0])


def _task_completed(
    request: ApiRequest, connection: Connection, task: Row[Any], lead_id: str, labels: Labels
) -> list[Change]:
    row = add_task_completed(connection, task, request.user.id)
    shown = TASK_COMPLETED.show(connection, [row], labels)[0]
    return [Change("created", event_type(TASK_COMPLETED.table, row), row.id, lead_id, shown)]


def _check_users(request: ApiRequest, body: Body) -> None:
    members = {user.id for user in request.organization.users}
    for key in ("user_id", "assigned_to"):
        if (user_id := body.text(key)) is not None and user_id not in members:
            raise body.invalid(key, NO_SUCH_OBJECT)


def _lead_for(request: ApiRequest, connection: Connection, kind: Kind, body: Body) -> Row[Any]:
    """The lead named in the request. Like Close, creates a new one for a contact or opportunity without it."""
    if kind in (CONTACT, OPPORTUNITY) and body.text("lead_id") is None:
        name: JsonObject = {"name": body.text("name")}
        lead = add_lead(connection, Body(name), request.user.id, request.index_lag)
        shown = logged_leads(connection, [lead], read_labels(connection, request.organization))[0]
        record(connection, request.cause, [Change("created", "lead", lead.id, lead.id, shown)])
        return lead
    return required_lead(connection, body)


def _change(request: ApiRequest, kind: Kind) -> JsonObject:
    with request.store.writing() as connection:
        before = _find(request, connection, kind)
        labels = read_labels(connection, request.organization)
        shown = kind.show(connection, [before], labels)[0]
        if kind in (CONTACT, OPPORTUNITY):
            check_custom_values(connection, request.body, kind.name.lower())
        values = {**kind.values(request.body), "date_updated": now(), "updated_by": request.user.id}
        values["extra"] = {**(before.extra or {}), **extra_fields(kind.table, request.body)} or None
        if kind is CONTACT:
            set_reachable(connection, before.pk, request.body)
        changed = update(kind.table).where(kind.table.c.pk == before.pk).values(values).returning(kind.table)
        row = connection.execute(changed).one()
        after = kind.show(connection, [row], labels)[0]
        lead_id = str(after["lead_id"])
        changes = changes_between(event_type(kind.table, before), lead_id, shown, after)
        if kind is TASK and row.is_complete and not before.is_complete:
            changes += _task_completed(request, connection, row, lead_id, labels)
        record(connection, request.cause, changes)
    return after


def _remove(request: ApiRequest, kind: Kind) -> JsonObject:
    with request.store.writing() as connection:
        row = _find(request, connection, kind)
        labels = read_labels(connection, request.organization)
        shown = kind.show(connection, [row], labels)[0]
        lead = rows_of(connection, schema.leads, "pk", [row.lead_pk])[0]
        before = logged_leads(connection, [lead], labels)[0]
        if kind is CONTACT:
            for table, _, _ in schema.REACHABLE:
                connection.execute(delete(table).where(table.c.contact_pk == row.pk))
        connection.execute(delete(kind.table).where(kind.table.c.pk == row.pk))
        event = event_type(kind.table, row)
        change = Change("deleted", event, row.id, lead.id, previous=shown)
        record(connection, request.cause, [change, *_of_lead(connection, lead, before, labels)])
    return {}


def activities(request: ApiRequest) -> JsonObject:
    """Activities of all kinds."""
    return _listing(request, ANY_ACTIVITY)


def _parameters(kind: Kind) -> tuple[str, ...]:
    return (*PAGING, *kind.filters, *(["_order_by"] if kind.orders else []))


def _bound(kind: Kind) -> Callable[[Callable[[ApiRequest, Kind], JsonObject]], Callable[[ApiRequest], JsonObject]]:
    return lambda work: lambda request: work(request, kind)


def _routes(path: str, kind: Kind) -> tuple[Route, Route]:
    bind = _bound(kind)
    return (
        route(path, *_parameters(kind), GET=bind(_listing), POST=bind(_add)),
        route(f"{path}{{id}}/", GET=bind(_one), PUT=bind(_change), DELETE=bind(_remove)),
    )


ROUTES = (
    *_routes("/contact/", CONTACT),
    *_routes("/opportunity/", OPPORTUNITY),
    *_routes("/task/", TASK),
    route("/activity/", *_parameters(ANY_ACTIVITY), GET=activities),
    route("/activity/task_completed/", *_parameters(TASK_COMPLETED), GET=_bound(TASK_COMPLETED)(_listing)),
    route("/activity/task_completed/{id}/", GET=_bound(TASK_COMPLETED)(_one), DELETE=_bound(TASK_COMPLETED)(_remove)),
    *(each for name, kind in ACTIVITIES.items() for each in _routes(f"/activity/{name}/", kind)),
)
