"""Writing leads and what belongs to them, from objects as Close takes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, func, insert, literal, select, update

from deployments.sandbox import schema
from deployments.sandbox.ids import new_id
from deployments.sandbox.moments import Moment, now
from deployments.sandbox.organization import OPPORTUNITY_STATUSES
from deployments.sandbox.render import ACTIVITY_TYPES
from deployments.sandbox.wire import NO_SUCH_OBJECT, Body, Invalid, Json, JsonObject
from deployments.sandbox.words import spaced

CUSTOM = "custom."
DEFAULT_OPPORTUNITY_STATUS = next(iter(OPPORTUNITY_STATUSES))
STAMPS = ("id", "organization_id", "created_by", "updated_by", "date_created", "date_updated")
# Worked out by the sandbox: what a client sends back of them is not kept.
DERIVED = (
    *("created_by_name", "updated_by_name", "display_name", "html_url", "contact_ids", "contacts_summary"),
    *("primary_email", "primary_phone", "integration_links", "lead_name", "user_name", "users", "_type", "type"),
    *("status_label", "status_type", "status_display_name", "pipeline_id", "pipeline_name", "attachments"),
    *("expected_value", "annualized_value", "annualized_expected_value", "assigned_to_name", "due_date", "lead_id"),
)
COMMUNICATION = ("call", "email", "sms", "meeting")
DIRECTIONS = {"inbound": "incoming", "outbound": "outgoing"}


def stamps(body: Body, prefix: str, user_id: str | None) -> dict[str, Any]:
    """Id, authors and dates, each as given or made up."""
    at = now()
    created = body.moment("date_created") or at
    return {
        "id": body.text("id") or new_id(prefix),
        "created_by": body.text("created_by") or user_id,
        "updated_by": body.text("updated_by") or user_id,
        "date_created": created,
        "date_updated": body.moment("date_updated") or max(created, at if "date_created" not in body else created),
    }


def _rest(body: Body, columns: tuple[str, ...]) -> JsonObject | None:
    return body.rest((*STAMPS, *DERIVED, *columns)) or None


def add(connection: Connection, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """Insert one row and read it back."""
    return connection.execute(insert(table).values(values).returning(table)).one()


def status_id(connection: Connection, body: Body) -> str | None:
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
    fields = schema.custom_fields
    known: dict[str, str] = {row.id: row.name for row in connection.execute(select(fields.c.id, fields.c.name))}
    by_name = {name: field_id for field_id, name in known.items()}
    after = dict(before)
    named = body.object("custom")
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
            value = [*many, value]  # noqa: PLW2901 - the value as it is to be
        elif operation == "remove":
            value = [each for each in many if each != value]  # noqa: PLW2901
        after[field_id] = value
    return {key: value for key, value in after.items() if value is not None and value != []}


LEAD_KEYS = (
    *("name", "description", "url", "status", "status_id", "custom", "timezone_id", "contacts", "addresses"),
    *("opportunities", "tasks", "activities", "sequence_subscriptions", "first_communication_date"),
    *("last_communication_date", "last_communication_type", "last_communication_user_id", "last_activity_date"),
    "last_lead_status_change_date",
)


def add_lead(connection: Connection, body: Body, user_id: str | None, lag: timedelta) -> Row[Any]:
    """A lead with its contacts and addresses. Raises Invalid."""
    name = body.text("name") or ""
    at = now()
    extra = {key: value for key, value in (_rest(body, LEAD_KEYS) or {}).items() if not key.startswith(CUSTOM)}
    default = select(schema.statuses.c.id).order_by(schema.statuses.c.pk).limit(1)
    lead = add(
        connection,
        schema.leads,
        {
            **stamps(body, "lead", user_id),
            "name": name,
            "words": spaced(name),
            "description": body.text("description") or "",
            "url": body.text("url"),
            "status_id": status_id(connection, body) or connection.scalars(default).one(),
            "custom": custom_values(connection, body, {}) or None,
            "timezone_id": body.text("timezone_id"),
            "last_communication_type": body.text("last_communication_type"),
            "last_communication_user_id": body.text("last_communication_user_id"),
            **{key: body.moment(key) for key in LEAD_KEYS if key.endswith("_date")},
            "findable_at": at + lag,
            "extra": extra or None,
        },
    )
    for contact in body.objects("contacts"):
        add_contact(connection, contact, lead.pk, user_id)
    set_addresses(connection, lead.pk, body)
    return lead


def set_addresses(connection: Connection, lead_pk: int, body: Body) -> None:
    """Add the addresses that *body* lists."""
    names = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")
    for address in body.objects("addresses"):
        values = {name: address.text(name) for name in names}
        connection.execute(insert(schema.addresses).values(lead_pk=lead_pk, **values))


def add_contact(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """A contact with its e-mail addresses, phone numbers and web pages."""
    contact = add(
        connection,
        schema.contacts,
        {
            **stamps(body, "cont", user_id),
            "lead_pk": lead_pk,
            "name": body.text("name"),
            "title": body.text("title"),
            "extra": _rest(body, ("name", "title", "emails", "phones", "urls")),
        },
    )
    set_reachable(connection, contact.pk, body)
    return contact


def set_reachable(connection: Connection, contact_pk: int, body: Body) -> None:
    """Replace those of the lists emails, phones, urls that *body* has."""
    for table, many, one in zip(schema.REACHABLE, ("emails", "phones", "urls"), ("email", "phone", "url"), strict=True):
        if many not in body:
            continue
        connection.execute(table.delete().where(table.c.contact_pk == contact_pk))
        for each in body.objects(many):
            kind = each.text("type") or "office"
            connection.execute(insert(table).values(contact_pk=contact_pk, type=kind, **{one: each.required_text(one)}))


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
    """An opportunity; active, one-time, at 50 % unless *body* says otherwise."""
    status = DEFAULT_OPPORTUNITY_STATUS
    defaults = {
        "status_id": status,
        "status_type": OPPORTUNITY_STATUSES[status][1],
        "value_period": "one_time",
        "confidence": 50,
        "user_id": user_id,
    }
    values = opportunity_values(body)
    extra = _rest(
        body, ("contact_id", "user_id", "note", "value", "confidence", "date_won", "date_lost", "value_period")
    )
    row = {
        **stamps(body, "oppo", user_id),
        "lead_pk": lead_pk,
        **defaults,
        **values,
        "extra": extra and {key: value for key, value in extra.items() if key != "status_id"},
    }
    return add(connection, schema.opportunities, row)


def task_values(body: Body) -> dict[str, Any]:
    """The columns of a task that *body* names."""
    values: dict[str, Any] = {key: body.text(key) for key in ("assigned_to", "text") if key in body}
    if "date" in body or "due_date" in body:
        values["date"] = body.moment("date") or body.moment("due_date")
    if "is_complete" in body:
        values["is_complete"] = body.boolean("is_complete", False)
    return values


def add_task(connection: Connection, body: Body, lead_pk: int, user_id: str | None) -> Row[Any]:
    """A task, open unless *body* says otherwise."""
    defaults = {"type": "lead", "is_complete": False, "assigned_to": user_id}
    extra = _rest(body, ("assigned_to", "text", "date", "is_complete"))
    return add(
        connection,
        schema.tasks,
        {**stamps(body, "task", user_id), "lead_pk": lead_pk, **defaults, **task_values(body), "extra": extra},
    )


def activity_values(body: Body, kind: str) -> dict[str, Any]:
    """The columns of an activity that *body* names."""
    values: dict[str, Any] = {key: body.text(key) for key in ("contact_id", "user_id", "status") if key in body}
    if body.text("direction"):
        direction = body.choice("direction", ("inbound", "outbound", "incoming", "outgoing"), "")
        values["direction"] = DIRECTIONS.get(direction, direction)
    dates = ("activity_at", "starts_at", "ends_at") if kind == "meeting" else ("activity_at",)
    values |= {key: body.moment(key) for key in dates if key in body}
    return values


DEFAULT_STATUS = {"call": "completed", "email": "sent", "sms": "sent", "meeting": "completed"}


def activity_kind(body: Body) -> str:
    """``call`` for ``"_type": "Call"``. Raises Invalid for a type that doesn't exist."""
    wanted = body.required_text("_type")
    found = next((kind for kind, name in ACTIVITY_TYPES.items() if wanted in (kind, name)), None)
    if found is None:
        raise body.invalid("_type", "Not a valid choice.")
    return found


def add_activity(connection: Connection, body: Body, kind: str, lead_pk: int, user_id: str | None) -> Row[Any]:
    """An activity; if it is a communication that is over, the lead's communication dates follow it."""
    values = activity_values(body, kind)
    common = stamps(body, "acti", user_id)
    at: datetime = values.get("activity_at") or values.get("starts_at") or body.moment("date") or common["date_created"]
    status = "upcoming" if kind == "meeting" and at > now() else DEFAULT_STATUS.get(kind)
    row: dict[str, Any] = {
        **common,
        "lead_pk": lead_pk,
        "type": kind,
        "user_id": user_id,
        "status": status,
        "direction": None if kind == "note" else "outgoing",
        **values,
        "activity_at": at,
        "extra": _rest(
            body, ("contact_id", "user_id", "status", "direction", "activity_at", "starts_at", "ends_at", "date")
        ),
    }
    if kind == "meeting":
        row["starts_at"] = row.get("starts_at") or at
        row["ends_at"] = row.get("ends_at") or row["starts_at"] + timedelta(minutes=30)
    _follow(connection, lead_pk, kind, at, row["user_id"])
    return add(connection, schema.activities, row)


def _follow(connection: Connection, lead_pk: int, kind: str, at: datetime, user_id: str | None) -> None:
    lead, moment = schema.leads, literal(at, Moment())
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
    """A contact's run through a sequence, active unless *body* says otherwise."""
    values = {
        "contact_id": body.text("contact_id"),
        "sequence_id": body.text("sequence_id"),
        "status": body.choice("status", ("active", "paused", "finished", "goal", "error"), "active"),
        "extra": _rest(body, ("contact_id", "sequence_id", "status")),
    }
    return add(connection, schema.subscriptions, {**stamps(body, "sub", user_id), "lead_pk": lead_pk, **values})


def required_lead(connection: Connection, body: Body) -> Row[Any]:
    """The lead that ``lead_id`` names. Raises Invalid when there is none."""
    lead_id = body.required_text("lead_id")
    lead = connection.execute(select(schema.leads).where(schema.leads.c.id == lead_id)).one_or_none()
    if lead is None:
        raise Invalid(NO_SUCH_OBJECT, (*body.path, "lead_id"))
    return lead
