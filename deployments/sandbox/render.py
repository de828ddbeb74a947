"""Rows → the objects that Close shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from deployments.sandbox import schema
from deployments.sandbox.moments import wire
from deployments.sandbox.organization import OPPORTUNITY_STATUSES, PIPELINE_ID, Organization
from deployments.sandbox.wire import Json, JsonObject

ACTIVITY_TYPES = {
    "call": "Call",
    "email": "Email",
    "sms": "SMS",
    "meeting": "Meeting",
    "note": "Note",
    "custom_activity": "CustomActivity",
}
ADDRESS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")


@dataclass(frozen=True)
class Labels:
    """Names to show beside ids."""

    organization: Organization
    statuses: Mapping[str, str]
    custom_fields: Mapping[str, str]

    def user(self, user_id: str | None) -> str | None:
        """The name of a member, or None."""
        return next((user.name for user in self.organization.users if user.id == user_id), None)


def read_labels(connection: Connection, organization: Organization) -> Labels:
    """The labels as they are now: statuses and custom fields can be renamed."""
    statuses = connection.execute(select(schema.statuses.c.id, schema.statuses.c.label).order_by(schema.statuses.c.pk))
    fields = connection.execute(select(schema.custom_fields.c.id, schema.custom_fields.c.name))
    return Labels(organization, {r.id: r.label for r in statuses}, {r.id: r.name for r in fields})


def by_owner(connection: Connection, table: Table, key: str, owners: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """The rows of *table* that belong to the *owners*, in the order they were made."""
    rows: dict[int, list[Row[Any]]] = defaultdict(list)
    if owners:
        for row in connection.execute(select(table).where(table.c[key].in_(owners)).order_by(table.c.pk)):
            rows[getattr(row, key)].append(row)
    return rows


def leads_json(connection: Connection, rows: Sequence[Row[Any]], labels: Labels) -> list[JsonObject]:
    """Leads with their contacts, addresses, opportunities and open tasks."""
    pks = [row.pk for row in rows]
    contacts = contacts_by_lead(connection, pks, {row.pk: row.id for row in rows}, labels)
    addresses = by_owner(connection, schema.addresses, "lead_pk", pks)
    opportunities = by_owner(connection, schema.opportunities, "lead_pk", pks)
    tasks = by_owner(connection, schema.tasks, "lead_pk", pks)
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


def _stamps(row: Row[Any], labels: Labels) -> JsonObject:
    return {
        "organization_id": labels.organization.id,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "date_created": wire(row.date_created),
        "date_updated": wire(row.date_updated),
    }


def lead_json(row: Row[Any], labels: Labels) -> JsonObject:
    """A lead without what belongs to it: what the event log keeps of a deleted lead."""
    custom: JsonObject = row.custom or {}
    return {
        **(row.extra or {}),
        "id": row.id,
        **_stamps(row, labels),
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
    rows = by_owner(connection, schema.contacts, "lead_pk", lead_pks)
    contacts = contacts_json(connection, [each for found in rows.values() for each in found], lead_ids, labels)
    result: dict[int, list[JsonObject]] = defaultdict(list)
    for row, contact in contacts:
        result[row.lead_pk].append(contact)
    return result


def contacts_json(
    connection: Connection, rows: Sequence[Row[Any]], lead_ids: Mapping[int, str], labels: Labels
) -> list[tuple[Row[Any], JsonObject]]:
    """Contacts with their e-mail addresses, phone numbers and web pages, each beside its row."""
    pks = [row.pk for row in rows]
    emails = by_owner(connection, schema.contact_emails, "contact_pk", pks)
    phones = by_owner(connection, schema.contact_phones, "contact_pk", pks)
    urls = by_owner(connection, schema.contact_urls, "contact_pk", pks)
    return [
        (
            row,
            {
                **(row.extra or {}),
                "id": row.id,
                **_stamps(row, labels),
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


def opportunity_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """An opportunity of *lead*; money in cents."""
    label, kind = OPPORTUNITY_STATUSES.get(row.status_id, ("", row.status_type))
    value: int | None = row.value
    yearly = None if value is None else value * (12 if row.value_period == "monthly" else 1)
    return {
        **(row.extra or {}),
        "id": row.id,
        **_stamps(row, labels),
        "created_by_name": labels.user(row.created_by),
        "updated_by_name": labels.user(row.updated_by),
        "lead_id": lead.id,
        "lead_name": lead.name,
        "contact_id": row.contact_id,
        "user_id": row.user_id or row.created_by or labels.organization.users[0].id,
        "user_name": labels.user(row.user_id),
        "status_id": row.status_id,
        "status_label": label,
        "status_display_name": label,
        "status_type": kind,
        "pipeline_id": PIPELINE_ID,
        "pipeline_name": "Sales",
        "value": value,
        "value_period": row.value_period,
        "value_currency": "USD",
        "confidence": row.confidence,
        "expected_value": _share(value, row.confidence),
        "annualized_value": yearly,
        "annualized_expected_value": _share(yearly, row.confidence),
        "date_won": row.date_won.date().isoformat() if row.date_won else None,
        "date_lost": wire(row.date_lost),
        "note": row.note,
        "attachments": [],
        "integration_links": [],
    }


def _share(value: int | None, percent: int) -> int | None:
    return None if value is None else value * percent // 100


def task_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """A task of *lead*."""
    return {
        **(row.extra or {}),
        "_type": row.type,
        "id": row.id,
        **_stamps(row, labels),
        "lead_id": lead.id,
        "lead_name": lead.name,
        "assigned_to": row.assigned_to,
        "assigned_to_name": labels.user(row.assigned_to),
        "text": row.text,
        "date": row.date.date().isoformat() if row.date else None,
        "due_date": row.date.date().isoformat() if row.date else None,
        "is_complete": row.is_complete,
    }


def activity_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """A call, e-mail, SMS, meeting or note with *lead*."""
    activity: JsonObject = {
        **(row.extra or {}),
        "_type": ACTIVITY_TYPES[row.type],
        "id": row.id,
        **_stamps(row, labels),
        "created_by_name": labels.user(row.created_by),
        "updated_by_name": labels.user(row.updated_by),
        "lead_id": lead.id,
        "contact_id": row.contact_id,
        "user_id": row.user_id,
        "user_name": labels.user(row.user_id),
        "users": [row.user_id] if row.user_id else [],
        "activity_at": wire(row.activity_at),
    }
    if row.type != "note":
        activity["direction"] = (
            CALL_DIRECTIONS.get(row.direction, row.direction) if row.type == "call" else row.direction
        )
        activity["status"] = row.status
    if row.type == "call":
        activity.setdefault("source", "External")
        activity.setdefault("outcome_id", None)
    if row.type == "meeting":
        activity |= {"starts_at": wire(row.starts_at), "ends_at": wire(row.ends_at)}
    return activity


CALL_DIRECTIONS: dict[str | None, str] = {"incoming": "inbound", "outgoing": "outbound"}


def subscription_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """A contact's run through a sequence (workflow)."""
    return {
        **(row.extra or {}),
        "id": row.id,
        **_stamps(row, labels),
        "lead_id": lead.id,
        "contact_id": row.contact_id,
        "sequence_id": row.sequence_id,
        "status": row.status,
    }


def custom_object_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """A custom object that belongs to a lead."""
    return {
        **(row.extra or {}),
        "id": row.id,
        **_stamps(row, labels),
        "lead_id": lead.id,
        "custom_object_type_id": row.custom_object_type_id,
    }


CHILDREN_JSON = {
    "opportunities": opportunity_json,
    "tasks": task_json,
    "activities": activity_json,
    "subscriptions": subscription_json,
    "custom_objects": custom_object_json,
}


def event_type(table: str, row: Row[Any]) -> str:
    """What the event log calls an object, such as ``activity.call`` or ``task.lead``."""
    match table:
        case "activities":
            return f"activity.{row.type}"
        case "tasks":
            return f"task.{row.type}"
        case _:
            return {
                "opportunities": "opportunity",
                "subscriptions": "sequence_subscription",
                "custom_objects": "custom_object",
                "contacts": "contact",
            }[table]


def select_fields(found: JsonObject, fields: Iterable[str] | None) -> JsonObject:
    """Only the *fields* asked for; all of them without such a wish."""
    if fields is None:
        return found
    return {name: found[name] for name in fields if name in found}
