"""Turns rows of leads and contacts into objects as Close shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from deployments.sandbox.database import schema
from deployments.sandbox.objects.labels import Labels, common_fields
from deployments.sandbox.objects.serialize_children import CHILDREN_JSON, opportunity_json, task_json
from deployments.sandbox.wire.json_types import Json, JsonObject

ADDRESS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")


def rows_by_owner(connection: Connection, table: Table, key: str, owners: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """The rows of *table* that belong to the *owners*, in the order of their creation."""
    rows: dict[int, list[Row[Any]]] = defaultdict(list)
    if owners:
        for row in connection.execute(select(table).where(table.c[key].in_(owners)).order_by(table.c.pk)):
            rows[getattr(row, key)].append(row)
    return rows


def leads_json(connection: Connection, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
    """Leads with their contacts, addresses, opportunities and open tasks."""
    pks = [row.pk for row in rows]
    contacts = contacts_by_lead(connection, pks, {row.pk: row.id for row in rows}, labels)
    addresses = rows_by_owner(connection, schema.addresses, "lead_pk", pks)
    opportunities = rows_by_owner(connection, schema.opportunities, "lead_pk", pks)
    tasks = rows_by_owner(connection, schema.tasks, "lead_pk", pks)
    leads: list[JsonObject] = []
    for row in rows:
        lead = lead_json(row, labels)
        lead["addresses"] = [{name: getattr(each, name) for name in ADDRESS} for each in addresses[row.pk]]
        lead["opportunities"] = [opportunity_json(each, row, labels) for each in opportunities[row.pk]]
        lead["tasks"] = [task_json(each, row, labels) for each in tasks[row.pk] if not each.is_complete]
        lead.update(_contact_summary(contacts[row.pk]))
        leads.append(lead)
    return leads


def _contact_summary(contacts: Sequence[JsonObject]) -> JsonObject:
    emails = [email for contact in contacts for email in _list(contact["emails"])]
    phones = [phone for contact in contacts for phone in _list(contact["phones"])]
    return {
        "contacts": [*contacts],
        "contact_ids": [contact["id"] for contact in contacts],
        "contacts_summary": ", ".join(str(contact["display_name"]) for contact in contacts),
        "primary_email": emails[0] if emails else None,
        "primary_phone": phones[0] if phones else None,
    }


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def lead_json(row: Row[Any], labels: Labels) -> JsonObject:
    """A lead without what belongs to it, as the event log has it."""
    custom: JsonObject = row.custom or {}
    return {
        **(row.extra or {}),
        "id": row.id,
        **common_fields(row, labels),
        "created_by_name": labels.user(row.created_by),
        "updated_by_name": labels.user(row.updated_by),
        "name": row.name,
        "display_name": row.name or "Untitled",
        "description": row.description,
        "url": row.url,
        "html_url": f"https://app.close.com/lead/{row.id}/",
        "status_id": row.status_id,
        "status_label": labels.statuses.get(row.status_id, ""),
        "integration_links": [],
        "custom": {labels.custom_fields.get(key, key): value for key, value in custom.items()},
        **{f"custom.{key}": value for key, value in custom.items()},
    }


def contacts_by_lead(
    connection: Connection, lead_pks: Sequence[int], lead_ids: Mapping[int, str], labels: Labels
) -> dict[int, list[JsonObject]]:
    """The contacts of some leads, by lead."""
    rows = rows_by_owner(connection, schema.contacts, "lead_pk", lead_pks)
    contacts = contacts_json(connection, [each for found in rows.values() for each in found], lead_ids, labels)
    result: dict[int, list[JsonObject]] = defaultdict(list)
    for row, contact in contacts:
        result[row.lead_pk].append(contact)
    return result


def contacts_json(
    connection: Connection, rows: Sequence[Row[Any]], lead_ids: Mapping[int, str], labels: Labels
) -> list[tuple[Row[Any], JsonObject]]:
    """Contacts with their e-mail addresses, phone numbers and web pages, each with its row."""
    pks = [row.pk for row in rows]
    emails = rows_by_owner(connection, schema.contact_emails, "contact_pk", pks)
    phones = rows_by_owner(connection, schema.contact_phones, "contact_pk", pks)
    urls = rows_by_owner(connection, schema.contact_urls, "contact_pk", pks)
    return [
        (
            row,
            {
                **(row.extra or {}),
                "id": row.id,
                **common_fields(row, labels),
                "lead_id": lead_ids[row.lead_pk],
                "name": row.name,
                "display_name": row.name or "",
                "title": row.title,
                "emails": [{"email": e.email, "type": e.type, "is_unsubscribed": False} for e in emails[row.pk]],
                "phones": [
                    {"phone": p.phone, "phone_formatted": p.phone, "type": p.type, "country": None}
                    for p in phones[row.pk]
                ],
                "urls": [{"url": u.url, "type": u.type} for u in urls[row.pk]],
                "integration_links": [],
            },
        )
        for row in rows
    ]


def children_json(connection: Connection, table: Table, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
    """Objects from rows of *table*, which belong to leads."""
    query = select(schema.leads).where(schema.leads.c.pk.in_([row.lead_pk for row in rows]))
    leads = {lead.pk: lead for lead in connection.execute(query)}
    if table is schema.contacts:
        ids = {pk: lead.id for pk, lead in leads.items()}
        return [contact for _, contact in contacts_json(connection, rows, ids, labels)]
    show = CHILDREN_JSON[table.name]
    return [show(row, leads[row.lead_pk], labels) for row in rows]


def select_fields(found: JsonObject, fields: Iterable[str] | None) -> JsonObject:
    """Returns only the *fields*, or everything for None."""
    if fields is None:
        return found
    return {name: found[name] for name in fields if name in found}
