"""Inserts opportunities, tasks, activities and sequence subscriptions from request bodies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, literal, update

from deployments.sandbox.database import schema
from deployments.sandbox.objects.serialize_children import ACTIVITY_TYPES
from deployments.sandbox.objects.write_leads import add
from deployments.sandbox.organization import OPPORTUNITY_STATUSES
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now

DEFAULT_OPPORTUNITY_STATUS = next(iter(OPPORTUNITY_STATUSES))
COMMUNICATION = ("call", "email", "sms", "meeting")
DATES = ("date_won", "date_lost")
CALL_STATUSES = ("created", "in-progress", "completed", "cancel", "no-answer", "busy", "failed", "timeout")
CALL_SOURCES = ("Close.io", "External")
SMS_STATUSES = ("inbox", "draft", "scheduled", "outbox", "sent")
HALF_AN_HOUR = timedelta(minutes=30)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
DIRECTIONS = {"inbound": "incoming", "outbound": "outgoing"}


def opportunity_values(body: Body) -> dict[str, Any]:
    """The columns of an opportunity that *body* names. Raises Invalid."""
    values: dict[str, Any] = {}
    if "status_id" in body or "status_type" in body or "status_label" in body:
        values["status_id"] = _opportunity_status(body)
        values["status_type"] = OPPORTUNITY_STATUSES[values["status_id"]][1]
        for kind, key in (("won", "date_won"), ("lost", "date_lost")):
            if values["status_type"] == kind:
                values[key] = now()
    readers = {
        "contact_id": body.text,
        "user_id": body.text,
        "note": body.text,
        "value": body.integer,
        "confidence": body.integer,
        "date_won": body.moment,
        "date_lost": body.moment,
    }
    values |= {key: read(key) for key, read in readers.items() if body.data.get(key) is not None}
    if "value_period" in body:
        values["value_period"] = body.choice("value_period", ("one_time", "monthly", "annual"), "one_time")
    return values


def _opportunity_status(body: Body) -> str:
    id_, label, kind = body.text("status_id"), body.text("status_label"), body.text("status_type")
    for known, (known_label, known_kind) in OPPORTUNITY_STATUSES.items():
        if id_ == known or (id_ is None and (label == known_label or (label is None and kind == known_kind))):
            return known
    raise body.invalid("status_id" if id_ is not None else "status_label" if label else "status_type", NO_SUCH_OBJECT)


def add_opportunity(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """Insert an opportunity: active, one-time, at 50 % by default."""
    values = {
        "lead_pk": lead_pk,
        "status_id": DEFAULT_OPPORTUNITY_STATUS,
        "status_type": OPPORTUNITY_STATUSES[DEFAULT_OPPORTUNITY_STATUS][1],
        "value_period": "one_time",
        "confidence": 50,
        "user_id": user_id,
        **opportunity_values(body),
    }
    return add(connection, schema.opportunities, body, user_id, **values)


def task_values(body: Body) -> dict[str, Any]:
    """The columns of a task that *body* names."""
    values: dict[str, Any] = {key: body.text(key) for key in ("assigned_to", "text") if key in body}
    if "date" in body or "due_date" in body:
        values["date"] = body.moment("date") or body.moment("due_date")
    if "is_complete" in body:
        values["is_complete"] = body.boolean("is_complete", False)
    return values


def add_task(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """Insert a task, open by default."""
    values = {"type": body.text("_type") or "lead", "is_complete": False, "assigned_to": user_id, **task_values(body)}
    return add(connection, schema.tasks, body, user_id, lead_pk=lead_pk, **values)


def add_task_completed(connection: Connection, task: Row[Any], user_id: str | None) -> Row[Any]:
    """Insert the activity that a completed task leaves."""
    about: JsonObject = {"task_id": task.id, "task_text": task.text, "task_assigned_to": task.assigned_to}
    values = {"lead_pk": task.lead_pk, "type": "task_completed", "user_id": user_id, "activity_at": now()}
    return add(connection, schema.activities, Body(about), user_id, **values)


def activity_values(body: Body, kind: str) -> dict[str, Any]:
    """The columns of an activity that *body* names."""
    values: dict[str, Any] = {key: body.text(key) for key in ("contact_id", "user_id", "status") if key in body}
    if body.text("direction"):
        direction = body.choice("direction", ("inbound", "outbound", "incoming", "outgoing"), "")
        values["direction"] = DIRECTIONS.get(direction, direction)
    dates = ("activity_at", "starts_at", "ends_at") if kind == "meeting" else ("activity_at",)
    values |= {key: body.moment(key) for key in dates if key in body}
    if kind == "call":
        values |= _call_values(body)
    if kind == "sms" and "status" in body:
        values["status"] = body.choice("status", SMS_STATUSES, DEFAULT_STATUS["sms"])
    return values


def _call_values(body: Body) -> dict[str, Any]:
    """The columns of a call; its other fields are only validated."""
    body.choice("source", CALL_SOURCES, "External")
    body.integer("duration", minimum=0)
    for key in ("note", "outcome_id", "phone"):
        body.text(key)
    return {"status": body.choice("status", CALL_STATUSES, DEFAULT_STATUS["call"])} if "status" in body else {}


DEFAULT_STATUS = {"call": "completed", "email": "sent", "sms": "sent", "meeting": "completed"}


def activity_kind(body: Body) -> str:
    """``call`` for ``"_type": "Call"``. Raises Invalid for a type that doesn't exist."""
    wanted = body.required_text("_type")
    found = next((kind for kind, name in ACTIVITY_TYPES.items() if wanted in (kind, name)), None)
    if found is None:
        raise body.invalid("_type", "Not a valid choice.")
    return found


def add_activity(connection: Connection, body: Body, kind: str, lead_pk: int, user_id: str | None) -> Row[Any]:
    """Insert an activity, and update the lead's communication dates unless it is in the future."""
    values = activity_values(body, kind)
    given = (values.get("activity_at"), values.get("starts_at"), body.moment("date"), body.moment("date_created"))
    at: datetime = next((each for each in given if each), None) or now()
    row: dict[str, Any] = {
        "lead_pk": lead_pk,
        "type": kind,
        "user_id": user_id,
        "status": "upcoming" if kind == "meeting" and at > now() else DEFAULT_STATUS.get(kind),
        "direction": None if kind == "note" else "outgoing",
        **values,
        "activity_at": at,
    }
    if kind == "meeting":
        row["starts_at"] = row.get("starts_at") or at
        row["ends_at"] = row.get("ends_at") or min(row["starts_at"], END_OF_TIME - HALF_AN_HOUR) + HALF_AN_HOUR
    _follow(connection, lead_pk, kind, at, row["user_id"])
    return add(connection, schema.activities, body, user_id, **row)


def _follow(connection: Connection, lead_pk: int, kind: str, at: datetime, user_id: str | None) -> None:
    lead, moment = schema.leads, literal(at, schema.Moment())
    mine = lead.c.pk == lead_pk
    if at > now():
        return
    latest = {"last_activity_date": func.max(func.coalesce(lead.c.last_activity_date, moment), moment)}
    connection.execute(update(lead).where(mine).values(latest))
    if kind not in COMMUNICATION:
        return
    first = func.min(func.coalesce(lead.c.first_communication_date, moment), moment)
    connection.execute(update(lead).where(mine).values(first_communication_date=first))
    newer = mine & (lead.c.last_communication_date.is_(None) | (lead.c.last_communication_date <= at))
    last = {
        "last_communication_date": at,
        "last_communication_type": ACTIVITY_TYPES[kind],
        "last_communication_user_id": user_id,
    }
    connection.execute(update(lead).where(newer).values(last))


def add_subscription(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """Insert a contact's subscription to a sequence, active by default."""
    values = {
        "contact_id": body.text("contact_id"),
        "sequence_id": body.text("sequence_id"),
        "status": body.choice("status", ("active", "paused", "finished", "goal", "error"), "active"),
    }
    return add(connection, schema.subscriptions, body, user_id, lead_pk=lead_pk, **values)
