"""Turns rows of what belongs to a lead into objects as Close shows them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from deployments.sandbox.objects.labels import Labels, common_fields
from deployments.sandbox.organization import OPPORTUNITY_STATUSES, PIPELINE_ID
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import format_moment

ACTIVITY_TYPES = {
    "call": "Call",
    "email": "Email",
    "sms": "SMS",
    "meeting": "Meeting",
    "note": "Note",
    "custom_activity": "CustomActivity",
}


def opportunity_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """An opportunity of *lead*; money in cents."""
    label, kind = OPPORTUNITY_STATUSES.get(row.status_id, ("", row.status_type))
    value: int | None = row.value
    yearly = None if value is None else value * (12 if row.value_period == "monthly" else 1)
    return {
        **(row.extra or {}),
        "id": row.id,
        **common_fields(row, labels),
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
        "date_lost": format_moment(row.date_lost),
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
        **common_fields(row, labels),
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
        **common_fields(row, labels),
        "created_by_name": labels.user(row.created_by),
        "updated_by_name": labels.user(row.updated_by),
        "lead_id": lead.id,
        "contact_id": row.contact_id,
        "user_id": row.user_id,
        "user_name": labels.user(row.user_id),
        "users": [row.user_id] if row.user_id else [],
        "activity_at": format_moment(row.activity_at),
    }
    if row.type != "note":
        activity["direction"] = (
            CALL_DIRECTIONS.get(row.direction, row.direction) if row.type == "call" else row.direction
        )
        activity["status"] = row.status
    if row.type == "call":
        activity["source"] = activity.get("source") or "External"
        activity.setdefault("outcome_id", None)
    if row.type == "meeting":
        activity |= {"starts_at": format_moment(row.starts_at), "ends_at": format_moment(row.ends_at)}
    return activity


CALL_DIRECTIONS: dict[str | None, str] = {"incoming": "inbound", "outgoing": "outbound"}


def subscription_json(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """A contact's subscription to a sequence (workflow)."""
    return {
        **(row.extra or {}),
        "id": row.id,
        **common_fields(row, labels),
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
        **common_fields(row, labels),
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
