"""/lead/: list, create, read, change, delete, merge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.database.full_text import spaced
from deployments.sandbox.http.request import Call
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects import serialize_leads, write_leads
from deployments.sandbox.objects.delete_leads import delete_leads, existing
from deployments.sandbox.objects.events import Change, record, updated
from deployments.sandbox.objects.labels import read_labels
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.objects.smart_fields import ALL, smart_names, smart_values
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, Invalid, NotFound
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now

leads = schema.leads


def find(connection: Connection, lead_id: str) -> Row[Any]:
    """The lead with this id. Raises NotFound, for deleted ones too."""
    lead = connection.execute(select(leads).where(leads.c.id == lead_id, existing())).one_or_none()
    if lead is None:
        raise NotFound("Lead")
    return lead


def _shown(call: Call, connection: Connection, rows: list[Row[Any]]) -> list[JsonObject]:
    fields = call.fields()
    found = serialize_leads.leads_json(connection, rows, read_labels(connection, call.organization))
    smart = smart_values(connection, [row.pk for row in rows], smart_names(fields))
    wanted = None if fields is None or ALL in fields else fields
    return [select_fields({**lead, **smart.get(row.pk, {})}, wanted) for row, lead in zip(rows, found, strict=True)]


def listing(call: Call) -> JsonObject:
    """Leads, last changed first, with the number of all."""
    if "query" in call.query:
        raise Invalid("The sandbox doesn't know the deprecated text search: use POST /data/search/.", ("query",))
    page = call.page()
    with call.store.reading() as connection:
        total = connection.execute(select(func.count()).select_from(leads).where(existing())).scalar_one()
        query = select(leads).where(existing()).order_by(leads.c.date_updated.desc(), leads.c.pk)
        rows = list(connection.execute(query.offset(page.skip).limit(page.limit)).all())
        data = _shown(call, connection, rows)
    return {"data": [*data], "has_more": page.skip + len(rows) < total, "total_results": total}


def one(call: Call) -> JsonObject:
    """One lead."""
    with call.store.reading() as connection:
        return _shown(call, connection, [find(connection, call.ids["id"])])[0]


def add(call: Call) -> JsonObject:
    """A new lead, with nested contacts and addresses. What only Close sets is ignored: ids, authors, smart fields."""
    allowed = ("name", "description", "url", "status", "status_id", "custom", "contacts", "addresses", "date_created")
    data = {key: value for key, value in call.body.data.items() if key in allowed or key.startswith(write_leads.CUSTOM)}
    data["contacts"] = [each.rest(call.ignored) for each in call.body.objects("contacts")]
    body = Body(Body(data).rest(call.ignored))
    with call.store.writing() as connection:
        for contact in body.objects("contacts"):
            write_leads.check_custom_values(connection, contact, "contact")
        lead = write_leads.add_lead(connection, body, call.user.id, call.lag)
        labels = read_labels(connection, call.organization)
        changes = [Change("created", "lead", lead.id, lead.id, serialize_leads.lead_json(lead, labels))]
        contacts = serialize_leads.contacts_by_lead(connection, [lead.pk], {lead.pk: lead.id}, labels)[lead.pk]
        changes += [Change("created", "contact", str(contact["id"]), lead.id, contact) for contact in contacts]
        record(connection, call.cause, changes)
        return _shown(call, connection, [lead])[0]


def change(call: Call) -> JsonObject:
    """Change what the request names, nothing else."""
    body = call.body
    with call.store.writing() as connection:
        before = find(connection, call.ids["id"])
        values: dict[str, Any] = {"date_updated": now(), "updated_by": call.user.id}
        if "name" in body:
            name = body.text("name") or ""
            values |= {"name": name, "words": spaced(name)}
        if "description" in body:
            values["description"] = body.text("description") or ""
        if "url" in body:
            values["url"] = body.text("url")
        status_id = write_leads.status_id(connection, body) or before.status_id
        if status_id != before.status_id:
            values |= {"status_id": status_id, "last_lead_status_change_date": values["date_updated"]}
        values["custom"] = write_leads.custom_values(connection, body, before.custom or {}) or None
        if "addresses" in body:
            connection.execute(delete(schema.addresses).where(schema.addresses.c.lead_pk == before.pk))
            write_leads.set_addresses(connection, before.pk, body)
        after = connection.execute(update(leads).where(leads.c.pk == before.pk).values(values).returning(leads)).one()
        labels = read_labels(connection, call.organization)
        shown = serialize_leads.lead_json(before, labels), serialize_leads.lead_json(after, labels)
        record(connection, call.cause, updated("lead", after.id, *shown))
        return _shown(call, connection, [after])[0]


def remove(call: Call) -> JsonObject:
    """Delete one lead and all that belongs to it."""
    with call.store.writing() as connection:
        lead = find(connection, call.ids["id"])
        labels = read_labels(connection, call.organization)
        delete_leads(connection, [lead.pk], call.cause, labels, lag=call.lag)
    return {}


def merge(call: Call) -> JsonObject:
    """Move all that belongs to the source to the destination, and delete the source."""
    with call.store.writing() as connection:
        source, destination = (_named(call, connection, key) for key in ("source", "destination"))
        if source.pk == destination.pk:
            raise Invalid("A lead can't be merged with itself.", ("destination",))
        for table in (*schema.CHILDREN, schema.addresses):
            connection.execute(update(table).where(table.c.lead_pk == source.pk).values(lead_pk=destination.pk))
        cause = replace(call.cause, merged=(source.id, destination.id))
        delete_leads(connection, [source.pk], cause, read_labels(connection, call.organization), lag=call.lag)
    return {}


def _named(call: Call, connection: Connection, key: str) -> Row[Any]:
    try:
        return find(connection, call.body.required_text(key))
    except NotFound:
        raise Invalid(NO_SUCH_OBJECT, (key,)) from None


ROUTES = (
    route("/lead/", GET=listing, POST=add),
    route("/lead/merge/", POST=merge),
    route("/lead/{id}/", GET=one, PUT=change, DELETE=remove),
)
