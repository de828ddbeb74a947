"""Turns rows of leads, and of what belongs to them, into objects as Close shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select

from deployments.sandbox.database import schema
from deployments.sandbox.objects.labels import Labels, row_json
from deployments.sandbox.objects.serialize_children import child_json
from deployments.sandbox.query.fields import LEAD_SMART, alias
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import format_moment

ALL = "_all"  # every smart field
NOT_SHOWN = frozenset(("words", "findable_at", "timezone_id", "custom", *LEAD_SMART))


def rows_of(connection: Connection, table: Table, key: str, owners: Iterable[int]) -> Sequence[Row[Any]]:
    """The rows of *table* that belong to the *owners*, in the order of their creation."""
    wanted = list(owners)
    return connection.execute(_rows_of(table, key), {"owners": wanted}).all() if wanted else []


@cache
def _rows_of(table: Table, key: str) -> Select[Any]:
    return select(table).where(table.c[key].in_(bindparam("owners", expanding=True))).order_by(table.c.pk)


def leads_json(
    connection: Connection, rows: Sequence[Row[Any]], labels: Labels, fields: Iterable[str] | None = None
) -> list[JsonObject]:
    """Leads with their contacts, addresses, opportunities, open tasks, and the smart fields among *fields*."""
    by_pk = {row.pk: row for row in rows}
    contacts, opportunities, tasks = (
        children_by_lead(connection, table, by_pk, labels)
        for table in (schema.contacts, schema.opportunities, schema.tasks)
    )
    addresses = _addresses(connection, by_pk)
    smart = _smart_values(connection, list(by_pk), fields or ())
    return [
        {
            **lead_json(row, labels),
            "addresses": addresses[row.pk],
            "opportunities": [*opportunities[row.pk]],
            "tasks": [each for each in tasks[row.pk] if not each["is_complete"]],
            **_contact_summary(contacts[row.pk]),
            **smart.get(row.pk, {}),
        }
        for row in rows
    ]


def logged_leads(connection: Connection, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
    """Leads as the event log has them: with their addresses, and of what belongs to them only the contacts' ids."""
    pks = [row.pk for row in rows]
    addresses, contact_ids = _addresses(connection, pks), defaultdict[int, list[Json]](list)
    for each in rows_of(connection, schema.contacts, "lead_pk", pks):
        contact_ids[each.lead_pk].append(each.id)
    return [
        {**lead_json(row, labels), "addresses": addresses[row.pk], "contact_ids": contact_ids[row.pk]} for row in rows
    ]


def _addresses(connection: Connection, lead_pks: Iterable[int]) -> dict[int, list[Json]]:
    found: dict[int, list[Json]] = defaultdict(list)
    for each in rows_of(connection, schema.addresses, "lead_pk", lead_pks):
        found[each.lead_pk].append({name: getattr(each, name) for name in schema.ADDRESS})
    return found


def _smart_values(connection: Connection, pks: Sequence[int], fields: Iterable[str]) -> dict[int, JsonObject]:
    wanted = set(fields)
    names = tuple(name for name in LEAD_SMART if ALL in wanted or name in wanted)
    if not names or not pks:
        return {}
    rows = connection.execute(_smart_fields(names), {"pks": pks})
    return {pk: {name: _plain(value) for name, value in zip(names, values, strict=True)} for pk, *values in rows}


@lru_cache(maxsize=100)
def _smart_fields(names: tuple[str, ...]) -> Select[Any]:
    lead = alias(schema.leads, "lead")
    columns = [LEAD_SMART[name].read(lead).label(name) for name in names]
    return select(lead.c.pk, *columns).where(lead.c.pk.in_(bindparam("pks", expanding=True)))


def _plain(value: Any) -> Json:
    return format_moment(value) if isinstance(value, datetime) else value


def _contact_summary(contacts: Sequence[JsonObject]) -> JsonObject:
    def first(name: str) -> Json:
        lists = (contact[name] for contact in contacts)
        return next((each[0] for each in lists if isinstance(each, list) and each), None)

    return {
        "contacts": [*contacts],
        "contact_ids": [contact["id"] for contact in contacts],
        "contacts_summary": ", ".join(str(contact["display_name"]) for contact in contacts),
        "primary_email": first("emails"),
        "primary_phone": first("phones"),
    }


def lead_json(row: Row[Any], labels: Labels) -> JsonObject:
    """A lead without what belongs to it."""
    custom: JsonObject = row.custom or {}
    return {
        **row_json(schema.leads, row, labels.organization.id, without=NOT_SHOWN),
        "created_by_name": labels.user(row.created_by),
        "updated_by_name": labels.user(row.updated_by),
        "display_name": row.name or "Untitled",
        "html_url": f"https://app.close.com/lead/{row.id}/",
        "status_label": labels.statuses.get(row.status_id, ""),
        "integration_links": [],
        "custom": {labels.custom_fields.get(key, key): value for key, value in custom.items()},
        **{f"custom.{key}": value for key, value in custom.items()},
    }


def children_by_lead(
    connection: Connection, table: Table, leads: Mapping[int, Row[Any]], labels: Labels
) -> dict[int, list[JsonObject]]:
    """The objects in *table* that belong to the *leads*, by lead."""
    rows = rows_of(connection, table, "lead_pk", leads)
    found: dict[int, list[JsonObject]] = defaultdict(list)
    for row, each in zip(rows, children_json(connection, table, rows, labels, leads), strict=True):
        found[row.lead_pk].append(each)
    return found


def children_json(
    connection: Connection,
    table: Table,
    rows: Sequence[Row[Any]],
    labels: Labels,
    leads: Mapping[int, Row[Any]] | None = None,
) -> list[JsonObject]:
    """Objects from rows of *table*, which belong to *leads*; without them, to whatever leads the rows name."""
    if leads is None:
        leads = {lead.pk: lead for lead in rows_of(connection, schema.leads, "pk", {row.lead_pk for row in rows})}
    found = [child_json(table, row, leads[row.lead_pk], labels) for row in rows]
    if table is schema.contacts:
        _add_reachable(connection, {row.pk: contact for row, contact in zip(rows, found, strict=True)})
    return found


def _add_reachable(connection: Connection, contacts: Mapping[int, JsonObject]) -> None:
    """Add their e-mail addresses, phone numbers and web pages to *contacts*, by pk."""
    for table, many, one in schema.REACHABLE:
        listed: dict[int, list[Json]] = {pk: [] for pk in contacts}
        for row in rows_of(connection, table, "contact_pk", contacts):
            value = getattr(row, one)
            beside = {"email": {"is_unsubscribed": False}, "phone": {"phone_formatted": value, "country": None}}
            listed[row.contact_pk].append({one: value, "type": row.type, **beside.get(one, {})})
        for pk, contact in contacts.items():
            contact[many] = listed[pk]


def select_fields(found: JsonObject, fields: Iterable[str] | None) -> JsonObject:
    """Returns only the *fields*, or everything for None."""
    if fields is None:
        return found
    return {name: found[name] for name in fields if name in found}
