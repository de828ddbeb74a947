"""What objects that belong to a lead show besides their columns, and what the event log calls them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Table

from deployments.sandbox.objects.labels import Labels, row_json
from deployments.sandbox.organization import OPPORTUNITY_STATUSES, PIPELINE_ID
from deployments.sandbox.wire.json_types import JsonObject

ACTIVITY_TYPES = {
    "call": "Call",
    "email": "Email",
    "sms": "SMS",
    "meeting": "Meeting",
    "note": "Note",
    "custom_activity": "CustomActivity",
    "task_completed": "TaskCompleted",
}
CALL_DIRECTIONS: dict[str | None, str] = {"incoming": "inbound", "outgoing": "outbound"}


def child_json(table: Table, row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """An object of *lead* as Close shows it; a contact without its addresses and numbers."""
    found = {**row_json(table, row, labels.organization.id), "lead_id": lead.id}
    if table.name in ("opportunities", "activities"):
        found["created_by_name"] = labels.user(row.created_by)
        found["updated_by_name"] = labels.user(row.updated_by)
        found["user_name"] = labels.user(row.user_id)
    match table.name:
        case "contacts":
            found |= {"display_name": row.name or "", "integration_links": []}
        case "opportunities":
            found |= _opportunity(row, lead, labels)
        case "tasks":
            day = row.date.date().isoformat() if row.date else None
            found |= {"_type": found.pop("type"), "lead_name": lead.name, "date": day, "due_date": day}
            found["assigned_to_name"] = labels.user(row.assigned_to)
        case "activities":
            _complete_activity(found, row, labels)
        case _:
            pass
    return found


def _opportunity(row: Row[Any], lead: Row[Any], labels: Labels) -> JsonObject:
    """Money is in cents."""
    label, kind = OPPORTUNITY_STATUSES.get(row.status_id, ("", row.status_type))
    yearly = None if row.value is None else row.value * (12 if row.value_period == "monthly" else 1)
    return {
        "lead_name": lead.name,
        "user_id": row.user_id or row.created_by or labels.organization.users[0].id,
        "status_label": label,
        "status_display_name": label,
        "status_type": kind,
        "pipeline_id": PIPELINE_ID,
        "pipeline_name": "Sales",
        "value_currency": "USD",
        "expected_value": _share(row.value, row.confidence),
        "annualized_value": yearly,
        "annualized_expected_value": _share(yearly, row.confidence),
        "date_won": row.date_won.date().isoformat() if row.date_won else None,
        "attachments": [],
        "integration_links": [],
    }


def _share(value: int | None, percent: int) -> int | None:
    return None if value is None else value * percent // 100


def _complete_activity(found: JsonObject, row: Row[Any], labels: Labels) -> None:
    found |= {"_type": ACTIVITY_TYPES[row.type], "users": [row.user_id] if row.user_id else []}
    plain = ["direction", "status", "starts_at", "ends_at"]
    hidden = {"note": plain, "task_completed": plain, "meeting": []}
    for name in ("type", *hidden.get(row.type, ["starts_at", "ends_at"])):
        del found[name]
    if row.type == "call":
        found["direction"] = CALL_DIRECTIONS.get(row.direction, row.direction)
        found["source"] = found.get("source") or "External"
        found.setdefault("outcome_id", None)
    if row.type == "task_completed":
        assigned_to = found.get("task_assigned_to")
        found["task_assigned_to_name"] = labels.user(assigned_to if isinstance(assigned_to, str) else None)


EVENT_TYPES = {
    "contacts": "contact",
    "opportunities": "opportunity",
    "tasks": "task",
    "activities": "activity",
    "subscriptions": "sequence_subscription",
    "custom_objects": "custom_object",
}


def event_type(table: Table, row: Row[Any]) -> str:
    """What the event log calls an object, such as ``activity.call`` or ``task.lead``."""
    kind = EVENT_TYPES[table.name]
    return f"{kind}.{row.type}" if kind in ("task", "activity") else kind
