"""Inserts leads with their contacts and addresses from request bodies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select

from deployments.sandbox.database import schema
from deployments.sandbox.database.full_text import spaced
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, Invalid
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now

CUSTOM = "custom."
PREFIXES = {
    "leads": "lead",
    "contacts": "cont",
    "opportunities": "oppo",
    "tasks": "task",
    "activities": "acti",
    "subscriptions": "sub",
}
# Stored elsewhere or worked out by the sandbox: `extra` doesn't keep what a client sends of them.
NOT_EXTRA = (
    *("organization_id", "created_by_name", "updated_by_name", "display_name", "html_url", "contact_ids", "lead_id"),
    *("contacts_summary", "primary_email", "primary_phone", "integration_links", "lead_name", "user_name", "users"),
    *("_type", "type", "status", "status_label", "status_type", "status_display_name", "pipeline_id", "pipeline_name"),
    *("attachments", "expected_value", "annualized_value", "annualized_expected_value", "assigned_to_name", "date"),
    *("due_date", "contacts", "addresses", "opportunities", "tasks", "activities", "sequence_subscriptions"),
    *("emails", "phones", "urls"),
)


def stamps(user_id: str | None, at: datetime) -> dict[str, Any]:
    """The columns for the author and date of something new."""
    return {"created_by": user_id, "updated_by": user_id, "date_created": at, "date_updated": at}


def extra_fields(table: Table, body: Body) -> JsonObject:
    """The fields of *body* without columns of their own, for `extra`."""
    return body.without((*table.c.keys(), *NOT_EXTRA))


def add(connection: Connection, table: Table, body: Body, author: str | None, /, **values: Any) -> Row[Any]:
    """Insert one row with *values*. Its id, authors and dates are those of *body*, or made up."""
    created = body.moment("date_created") or now()
    row = {
        "id": body.text("id") or new_id(PREFIXES[table.name]),
        "created_by": body.text("created_by") or author,
        "updated_by": body.text("updated_by") or author,
        "date_created": created,
        "date_updated": body.moment("date_updated") or created,
        "extra": extra_fields(table, body) or None,
    }
    return connection.execute(insert(table).returning(table), row | values).one()


def find_status_id(connection: Connection, body: Body) -> str | None:
    """The lead status that *body* names by id or by label. Raises Invalid for one that doesn't exist."""
    statuses = schema.statuses
    for key, column in (("status_id", statuses.c.id), ("status", statuses.c.label), ("status_label", statuses.c.label)):
        wanted = body.text(key)
        if wanted is not None:
            found = connection.scalars(select(statuses.c.id).where(column == wanted)).first()
            if found is None:
                raise body.invalid(key, NO_SUCH_OBJECT)
            return found
    return None


def custom_values(connection: Connection, body: Body, before: JsonObject) -> JsonObject:
    """The custom fields after the ``custom.cf_…`` keys of *body* are applied (``.add`` and ``.remove`` too)."""
    named = body.object("custom")
    if not named and not any(key.startswith(CUSTOM) for key in body.data):
        return before
    known = _custom_fields(connection, "lead")
    by_name = {field.name: field_id for field_id, field in known.items()}
    after = dict(before)
    changes: JsonObject = {
        CUSTOM + by_name.get(name, name): value for name, value in (named.data if named else {}).items()
    }
    changes |= {key: value for key, value in body.data.items() if key.startswith(CUSTOM)}
    for key, value in changes.items():
        field_id, _, operation = key.removeprefix(CUSTOM).partition(".")
        if field_id not in known:
            raise body.invalid(key, NO_SUCH_OBJECT)
        now_there = after.get(field_id)
        many: list[Json] = now_there if isinstance(now_there, list) else [] if now_there is None else [now_there]
        if operation == "add":
            value = [*many, value]  # noqa: PLW2901 - the value to store
        elif operation == "remove":
            value = [each for each in many if each != value]  # noqa: PLW2901
        _check_custom_value(body, key, known[field_id], value)
        after[field_id] = value
    return {key: value for key, value in after.items() if value is not None and value != []}


def check_custom_values(connection: Connection, body: Body, object_type: str) -> None:
    """Raises Invalid for a custom field in *body* that objects of this type don't have, or with another's value."""
    known = _custom_fields(connection, object_type)
    for key, value in body.data.items():
        if key.startswith(CUSTOM):
            if (field := known.get(key.removeprefix(CUSTOM))) is None:
                raise body.invalid(key, NO_SUCH_OBJECT)
            _check_custom_value(body, key, field, value)


def _custom_fields(connection: Connection, object_type: str) -> dict[str, Row[Any]]:
    fields = schema.custom_fields
    rows = connection.execute(select(fields).where(fields.c.object_type == object_type))
    return {row.id: row for row in rows}


CUSTOM_READERS: dict[str, Callable[[Body, str], object]] = {
    "number": Body.number,
    "date": Body.moment,
    "datetime": Body.moment,
}


def _check_custom_value(body: Body, key: str, field: Row[Any], value: Json) -> None:
    """Raises Invalid for a value that isn't of the field's type: a search would compare text with numbers."""
    if isinstance(value, list) and not field.accepts_multiple_values:
        raise body.invalid(key, "This field doesn't accept multiple values.")
    for each in value if isinstance(value, list) else [value]:
        CUSTOM_READERS.get(field.type, Body.text)(Body({key: each}, body.path), key)


LEAD_DATES = tuple(column.name for column in schema.leads.c if column.name.endswith("_date"))  # smart fields


def add_lead(connection: Connection, body: Body, user_id: str | None, lag: timedelta) -> Row[Any]:
    """Insert a lead with its contacts and addresses. Raises Invalid."""
    name = body.text("name") or ""
    default = select(schema.statuses.c.id).order_by(schema.statuses.c.pk).limit(1)
    extra = {key: each for key, each in extra_fields(schema.leads, body).items() if not key.startswith(CUSTOM)}
    lead = add(
        connection,
        schema.leads,
        body,
        user_id,
        name=name,
        words=spaced(name),
        description=body.text("description") or "",
        status_id=find_status_id(connection, body) or connection.scalars(default).one(),
        custom=custom_values(connection, body, {}) or None,
        findable_at=now() + lag,
        extra=extra or None,
        **{key: body.moment(key) for key in LEAD_DATES},
        **{
            key: body.text(key)
            for key in ("url", "timezone_id", "last_communication_type", "last_communication_user_id")
        },
    )
    for contact in body.objects("contacts"):
        add_contact(connection, contact, lead.pk, user_id)
    set_addresses(connection, lead.pk, body)
    return lead


def set_addresses(connection: Connection, lead_pk: int, body: Body) -> None:
    """Insert the addresses in *body*."""
    for address in body.objects("addresses"):
        values = {name: address.text(name) for name in schema.ADDRESS}
        connection.execute(insert(schema.addresses), {"lead_pk": lead_pk, **values})


def add_contact(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """Insert a contact with its e-mail addresses, phone numbers and web pages."""
    values = {"lead_pk": lead_pk, "name": body.text("name"), "title": body.text("title")}
    contact = add(connection, schema.contacts, body, user_id, **values)
    set_reachable(connection, contact.pk, body)
    return contact


def set_reachable(connection: Connection, contact_pk: int, body: Body) -> None:
    """Replace the emails, phones and urls, each only if *body* has it."""
    for table, many, one in schema.REACHABLE:
        if many not in body:
            continue
        connection.execute(table.delete().where(table.c.contact_pk == contact_pk))
        for each in body.objects(many):
            kind = each.text("type") or "office"
            row = {"contact_pk": contact_pk, "type": kind, one: each.required_text(one)}
            connection.execute(insert(table), row)


def required_lead(connection: Connection, body: Body) -> Row[Any]:
    """The lead that ``lead_id`` names. Raises Invalid when there is none."""
    lead_id = body.required_text("lead_id")
    lead = connection.execute(select(schema.leads).where(schema.leads.c.id == lead_id)).one_or_none()
    if lead is None:
        raise Invalid(NO_SUCH_OBJECT, (*body.path, "lead_id"))
    return lead
