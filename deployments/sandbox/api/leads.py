"""/lead/: list, create, read, update, delete, merge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, update

from deployments.sandbox.api.rows import find
from deployments.sandbox.database import schema
from deployments.sandbox.database.full_text import spaced
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.delete_leads import delete_leads, not_deleted
from deployments.sandbox.objects.events import Change, changes_between, record
from deployments.sandbox.objects.labels import Labels, read_labels
from deployments.sandbox.objects.serialize_children import event_type
from deployments.sandbox.objects.serialize_leads import (
    children_by_lead,
    children_json,
    leads_json,
    logged_leads,
    rows_of,
)
from deployments.sandbox.objects.write_leads import (
    CUSTOM,
    add_lead,
    check_custom_values,
    custom_values,
    find_status_id,
    set_addresses,
)
from deployments.sandbox.query.search import prepare_search
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, Invalid, NotFound
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now

leads = schema.leads
AN_ID = re.compile("(?:(?:lead_)?id:)?(lead_[A-Za-z0-9]+)")
A_WORD = re.compile(r"[^\W_]+")
OPERATORS = ("and", "or", "not")


def _find(connection: Connection, lead_id: str) -> Row[Any]:
    return find(connection, leads, lead_id, "Lead", not_deleted())


def _shown(request: ApiRequest, connection: Connection, rows: list[Row[Any]]) -> list[JsonObject]:
    return leads_json(connection, rows, read_labels(connection, request.organization), request.fields())


def listing(request: ApiRequest) -> JsonObject:
    """Leads, most recently updated first, with the total."""
    page = request.page()
    with request.store.reading() as connection:
        wanted = [not_deleted(), *_text_search(request, connection)]
        total = connection.execute(select(func.count()).select_from(leads).where(*wanted)).scalar_one()
        query = select(leads).where(*wanted).order_by(leads.c.date_updated.desc(), leads.c.pk)
        rows = list(connection.execute(query.offset(page.skip).limit(page.limit)).all())
        data = _shown(request, connection, rows)
    return {"data": [*data], "has_more": page.skip + len(rows) < total, "total_results": total}


def _text_search(request: ApiRequest, connection: Connection) -> Iterator[ColumnElement[bool]]:
    """The deprecated text search, as far as it needs no parser: for a word or an id. Raises Invalid for the rest."""
    text = request.query.get("query")
    if text is None:
        return
    if an_id := AN_ID.fullmatch(text):
        wanted: JsonObject = {"type": "id", "value": an_id[1]}
    elif A_WORD.fullmatch(text) and text.lower() not in OPERATORS:
        wanted = {"type": "text", "mode": "full_words", "value": text}
    else:
        raise Invalid(
            "The sandbox reads no deprecated text search but a single word or a lead's id: use POST /data/search/.",
            ("query",),
        )
    found = prepare_search(connection, Body(wanted, ("query",)), (), request.query_context())
    yield leads.c.pk.in_(select(found.query.rows.c.pk).where(found.where))


def one(request: ApiRequest) -> JsonObject:
    """One lead."""
    with request.store.reading() as connection:
        return _shown(request, connection, [_find(connection, request.ids["id"])])[0]


def add(request: ApiRequest) -> JsonObject:
    """Create a lead with nested contacts and addresses. Ignores what only Close sets: ids, authors, smart fields."""
    allowed = ("name", "description", "url", "status", "status_id", "custom", "contacts", "addresses", "date_created")
    data = {key: value for key, value in request.body.data.items() if key in allowed or key.startswith(CUSTOM)}
    data["contacts"] = [each.without(request.ignored_keys) for each in request.body.objects("contacts")]
    body = Body(Body(data).without(request.ignored_keys))
    with request.store.writing() as connection:
        for contact in body.objects("contacts"):
            check_custom_values(connection, contact, "contact")
        lead = add_lead(connection, body, request.user.id, request.index_lag)
        labels = read_labels(connection, request.organization)
        changes = [Change("created", "lead", lead.id, lead.id, logged_leads(connection, [lead], labels)[0])]
        contacts = children_by_lead(connection, schema.contacts, {lead.pk: lead}, labels)[lead.pk]
        changes += [Change("created", "contact", str(contact["id"]), lead.id, contact) for contact in contacts]
        record(connection, request.cause, changes)
        return _shown(request, connection, [lead])[0]


def change(request: ApiRequest) -> JsonObject:
    """Update only the fields in the request."""
    body = request.body
    with request.store.writing() as connection:
        before = _find(connection, request.ids["id"])
        labels = read_labels(connection, request.organization)
        shown = logged_leads(connection, [before], labels)[0]
        values: dict[str, Any] = {"date_updated": now(), "updated_by": request.user.id}
        if "name" in body:
            name = body.text("name") or ""
            values |= {"name": name, "words": spaced(name)}
        if "description" in body:
            values["description"] = body.text("description") or ""
        if "url" in body:
            values["url"] = body.text("url")
        status = find_status_id(connection, body) or before.status_id
        if status != before.status_id:
            values |= {"status_id": status, "last_lead_status_change_date": values["date_updated"]}
        values["custom"] = custom_values(connection, body, before.custom or {}) or None
        if "addresses" in body:
            connection.execute(delete(schema.addresses).where(schema.addresses.c.lead_pk == before.pk))
            set_addresses(connection, before.pk, body)
        after = connection.execute(update(leads).where(leads.c.pk == before.pk).values(values).returning(leads)).one()
        logged = logged_leads(connection, [after], labels)[0]
        record(connection, request.cause, changes_between("lead", after.id, shown, logged))
        return _shown(request, connection, [after])[0]


def remove(request: ApiRequest) -> JsonObject:
    """Delete one lead and everything that belongs to it."""
    with request.store.writing() as connection:
        lead = _find(connection, request.ids["id"])
        labels = read_labels(connection, request.organization)
        delete_leads(connection, [lead.pk], request.cause, labels, lag=request.index_lag)
    return {}


def merge(request: ApiRequest) -> JsonObject:
    """Move everything that belongs to the source to the destination, and delete the source."""
    with request.store.writing() as connection:
        source, destination = (_named(request, connection, key) for key in ("source", "destination"))
        if source.pk == destination.pk:
            raise Invalid("A lead can't be merged with itself.", ("destination",))
        cause = replace(request.cause, merged=(source.id, destination.id))
        labels = read_labels(connection, request.organization)
        shown = logged_leads(connection, [destination], labels)[0]
        changes: list[Change] = []
        for table in (*schema.CHILDREN, schema.addresses):
            changes += _moved(connection, table, source, destination, labels)
        logged = logged_leads(connection, [destination], labels)[0]
        changes += changes_between("lead", destination.id, shown, logged)
        record(connection, cause, changes)
        delete_leads(connection, [source.pk], cause, labels, lag=request.index_lag)
        record(connection, cause, [Change("merged", "lead", destination.id, destination.id, logged)])
    return {}


def _moved(
    connection: Connection, table: Table, source: Row[Any], destination: Row[Any], labels: Labels
) -> Iterator[Change]:
    """Move the objects in *table* from the source to the destination. Yields the change of each."""
    rows = rows_of(connection, table, "lead_pk", [source.pk])
    before = [] if table is schema.addresses else children_json(connection, table, rows, labels)
    pks = [row.pk for row in rows]
    connection.execute(update(table).where(table.c.pk.in_(pks)).values(lead_pk=destination.pk))
    if table is schema.addresses:  # they are part of the lead
        return
    rows = rows_of(connection, table, "pk", pks)
    for row, shown, moved in zip(rows, before, children_json(connection, table, rows, labels), strict=True):
        yield from changes_between(event_type(table, row), destination.id, shown, moved)


def _named(request: ApiRequest, connection: Connection, key: str) -> Row[Any]:
    try:
        return _find(connection, request.body.required_text(key))
    except NotFound:
        raise Invalid(NO_SUCH_OBJECT, (key,)) from None


ROUTES = (
    route("/lead/", *PAGING, "query", GET=listing, POST=add),
    route("/lead/merge/", POST=merge),
    route("/lead/{id}/", GET=one, PUT=change, DELETE=remove),
)
