"""The fields of Advanced Filtering, by object type: their kind and their SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, FromClause, Table, func, literal, select

from deployments.sandbox.database import schema

Kind: TypeAlias = Literal["text", "term", "number", "moment", "boolean", "status.lead", "status.opportunity", "user"]
Expression: TypeAlias = ColumnElement[Any]


@dataclass(frozen=True)
class Field:
    """A searchable field: its kind, and its value in a row of *this* table as of *now*."""

    kind: Kind
    read: Callable[[FromClause, datetime], Expression]
    words: Callable[[FromClause], Expression] | None = None
    nullable: bool = True


def _column(kind: Kind, name: str, nullable: bool = True) -> Field:
    return Field(kind, lambda this, _: this.c[name], nullable=nullable)


def _aggregate(
    kind: Kind,
    value: Callable[[FromClause], Expression],
    table: Table,
    where: Callable[[FromClause, datetime], list[ColumnElement[bool]]] = lambda _, __: [],
    key: str = "lead_pk",
) -> Field:
    """An aggregate over the rows of *table* that belong to this row."""

    def read(this: FromClause, now: datetime) -> Expression:
        rows = table.alias()
        query = select(value(rows)).where(rows.c[key] == this.c.pk, *where(rows, now))
        return query.correlate(this).scalar_subquery()

    return Field(kind, read, nullable=kind == "moment")


def _number_of(
    table: Table,
    where: Callable[[FromClause, datetime], list[ColumnElement[bool]]] = lambda _, __: [],
    key: str = "lead_pk",
) -> Field:
    return _aggregate("number", lambda _: func.count(), table, where, key)


def _number_reachable(table: Table) -> Field:
    """How many e-mail addresses (phone numbers, web pages) the contacts of a lead have together."""

    def read(this: FromClause, _: datetime) -> Expression:
        rows, contact = table.alias(), schema.contacts.alias()
        query = select(func.count()).select_from(rows.join(contact, rows.c.contact_pk == contact.c.pk))
        return query.where(contact.c.lead_pk == this.c.pk).correlate(this).scalar_subquery()

    return Field("number", read)


def _activity(kind: str, **values: str) -> Callable[[FromClause, datetime], list[ColumnElement[bool]]]:
    def where(rows: FromClause, _: datetime) -> list[ColumnElement[bool]]:
        return [rows.c.type == kind, *(rows.c[name] == value for name, value in values.items())]

    return where


def _meeting(when: Literal["ahead", "running", "over"]) -> Callable[[FromClause, datetime], list[ColumnElement[bool]]]:
    """Meetings that are ahead, running or over, without cancelled and declined ones."""

    def where(rows: FromClause, now: datetime) -> list[ColumnElement[bool]]:
        time = {
            "ahead": rows.c.starts_at > now,
            "running": (rows.c.starts_at <= now) & (rows.c.ends_at > now),
            "over": rows.c.ends_at <= now,
        }[when]
        return [rows.c.type == literal("meeting", literal_execute=True), time, rows.c.status.not_like("%ed-by-lead")]

    return where


def _opportunity(kind: str | None, period: str | None) -> Callable[[FromClause, datetime], list[ColumnElement[bool]]]:
    def where(rows: FromClause, _: datetime) -> list[ColumnElement[bool]]:
        wanted = {"status_type": kind, "value_period": period}
        return [rows.c[name] == value for name, value in wanted.items() if value is not None]

    return where


def _opportunity_values() -> dict[str, Field]:
    """{min,max,avg,total}_{annual,annualized,monthly,one_time}_[active|won|lost_]opportunity_value, in cents."""
    fields: dict[str, Field] = {}
    aggregates = {"min": func.min, "max": func.max, "avg": func.avg, "total": func.total}
    for name, aggregate in aggregates.items():
        for period in ("annual", "annualized", "monthly", "one_time"):
            for kind in (None, "active", "won", "lost"):

                def value(
                    rows: FromClause, aggregate: Callable[..., Expression] = aggregate, period: str = period
                ) -> Expression:
                    yearly = func.iif(rows.c.value_period == "monthly", rows.c.value * 12, rows.c.value)
                    return aggregate(yearly if period == "annualized" else rows.c.value)

                where = _opportunity(kind, None if period == "annualized" else period)
                middle = f"{kind}_" if kind else ""
                fields[f"{name}_{period}_{middle}opportunity_value"] = _aggregate(
                    "number", value, schema.opportunities, where
                )
    return fields


def _communication_dates() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for which, pick in (("first", func.min), ("last", func.max)):
        for kind in ("call", "email", "sms"):
            for direction in (None, "incoming", "outgoing"):
                where = _activity(kind, **({"direction": direction} if direction else {}))
                prefix = f"{direction}_" if direction else ""

                def value(rows: FromClause, pick: Callable[..., Expression] = pick) -> Expression:
                    return pick(rows.c.activity_at, type_=schema.Moment())

                fields[f"{which}_{prefix}{kind}_date"] = _aggregate("moment", value, schema.activities, where)
    return fields


def _done(done: bool) -> Callable[[FromClause, datetime], list[ColumnElement[bool]]]:
    return lambda rows, _: [rows.c.is_complete.is_(done)]


_stamps: dict[str, Field] = {
    "id": _column("term", "id", nullable=False),
    "created_by": _column("user", "created_by"),
    "updated_by": _column("user", "updated_by"),
    "date_created": _column("moment", "date_created", nullable=False),
    "date_updated": _column("moment", "date_updated", nullable=False),
}
_name = Field("text", lambda this, _: this.c.name, words=lambda this: this.c.words, nullable=False)
_urls = _number_reachable(schema.contact_urls)

LEAD_STORED: dict[str, Field] = {
    **_stamps,
    "name": _name,
    "display_name": _name,
    "description": _column("text", "description"),
    "url": _column("text", "url"),
    "status_id": _column("status.lead", "status_id", nullable=False),
    "timezone_id": _column("term", "timezone_id"),
}
# Smart fields: Close computes them, and shows them only on request.
LEAD_SMART: dict[str, Field] = {
    "first_communication_date": _column("moment", "first_communication_date"),
    "last_communication_date": _column("moment", "last_communication_date"),
    "last_communication_type": _column("term", "last_communication_type"),
    "last_communication_user_id": _column("user", "last_communication_user_id"),
    "last_activity_date": _column("moment", "last_activity_date"),
    "last_lead_status_change_date": _column("moment", "last_lead_status_change_date"),
    "times_communicated": _number_of(
        schema.activities, lambda rows, _: [rows.c.type.in_(("call", "email", "sms", "meeting"))]
    ),
    "addresses_count": _number_of(schema.addresses),
    "num_addresses": _number_of(schema.addresses),
    "all_urls_count": _urls,
    "num_urls": _urls,
    "num_contact_urls": _urls,
    "num_contacts": _number_of(schema.contacts),
    "num_email_addresses": _number_reachable(schema.contact_emails),
    "num_phone_numbers": _number_reachable(schema.contact_phones),
    "num_activities": _number_of(schema.activities),
    "num_calls": _number_of(schema.activities, _activity("call")),
    "num_incoming_calls": _number_of(schema.activities, _activity("call", direction="incoming")),
    "num_outgoing_calls": _number_of(schema.activities, _activity("call", direction="outgoing")),
    "num_missed_calls": _number_of(schema.activities, _activity("call", direction="incoming", status="no-answer")),
    "num_emails": _number_of(schema.activities, _activity("email")),
    "num_sent_emails": _number_of(schema.activities, _activity("email", direction="outgoing", status="sent")),
    "num_outgoing_emails": _number_of(schema.activities, _activity("email", direction="outgoing")),
    "num_received_emails": _number_of(schema.activities, _activity("email", direction="incoming")),
    "num_sms": _number_of(schema.activities, _activity("sms")),
    "num_sent_sms": _number_of(schema.activities, _activity("sms", direction="outgoing")),
    "num_received_sms": _number_of(schema.activities, _activity("sms", direction="incoming")),
    "num_notes": _number_of(schema.activities, _activity("note")),
    "last_note_date": _aggregate(
        "moment", lambda rows: func.max(rows.c.activity_at, type_=schema.Moment()), schema.activities, _activity("note")
    ),
    "num_tasks": _number_of(schema.tasks),
    "num_completed_tasks": _number_of(schema.tasks, _done(True)),
    "num_incomplete_tasks": _number_of(schema.tasks, _done(False)),
    "next_task_date": _aggregate(
        "moment", lambda rows: func.min(rows.c.date, type_=schema.Moment()), schema.tasks, _done(False)
    ),
    "num_meetings": _number_of(schema.activities, _activity("meeting")),
    "num_upcoming_meetings": _number_of(schema.activities, _meeting("ahead")),
    "num_in_progress_meetings": _number_of(schema.activities, _meeting("running")),
    "num_completed_meetings": _number_of(schema.activities, _meeting("over")),
    "num_canceled_meetings": _number_of(schema.activities, _activity("meeting", status="canceled-by-lead")),
    "num_declined_meetings": _number_of(schema.activities, _activity("meeting", status="declined-by-lead")),
    "num_opportunities": _number_of(schema.opportunities),
    "num_active_opportunities": _number_of(schema.opportunities, _opportunity("active", None)),
    "num_won_opportunities": _number_of(schema.opportunities, _opportunity("won", None)),
    "num_lost_opportunities": _number_of(schema.opportunities, _opportunity("lost", None)),
    **_communication_dates(),
    **_opportunity_values(),
}


def _lead_id(this: FromClause, _: datetime) -> Expression:
    lead = schema.leads.alias()
    return select(lead.c.id).where(lead.c.pk == this.c.lead_pk).correlate(this).scalar_subquery()


_owned: dict[str, Field] = {**_stamps, "lead_id": Field("term", _lead_id)}
_activity_fields: dict[str, Field] = {
    **_owned,
    "user_id": _column("user", "user_id"),
    "contact_id": _column("term", "contact_id"),
    "activity_at": _column("moment", "activity_at"),
    "direction": _column("term", "direction"),
    "status": _column("term", "status"),
}
_email_fields: dict[str, Field] = {
    "date": _column("moment", "activity_at"),
    "date_sent": _column("moment", "activity_at"),
    "has_reply": Field("boolean", lambda this, _: func.coalesce(func.json_extract(this.c.extra, "$.has_reply"), 0)),
    "subject": Field("text", lambda this, _: func.json_extract(this.c.extra, "$.subject")),
}


def _reachable(name: str) -> dict[str, Field]:
    return {name: _column("text", name, nullable=False), "type": _column("term", "type", nullable=False)}


FIELDS: dict[str, dict[str, Field]] = {
    "lead": {**LEAD_STORED, **LEAD_SMART},
    "contact": {
        **_owned,
        "name": _column("text", "name"),
        "title": _column("text", "title"),
        "emails_count": _number_of(schema.contact_emails, key="contact_pk"),
        "phones_count": _number_of(schema.contact_phones, key="contact_pk"),
        "urls_count": _number_of(schema.contact_urls, key="contact_pk"),
    },
    "contact_email": _reachable("email"),
    "contact_phone": _reachable("phone"),
    "contact_url": _reachable("url"),
    "address": {
        name: _column("text", name)
        for name in ("address_1", "address_2", "city", "state", "zipcode", "country", "label")
    },
    "opportunity": {
        **_owned,
        "status_id": _column("status.opportunity", "status_id"),
        "status_type": _column("term", "status_type"),
        "user_id": _column("user", "user_id"),
        "contact_id": _column("term", "contact_id"),
        "value": _column("number", "value"),
        "value_period": _column("term", "value_period"),
        "confidence": _column("number", "confidence"),
        "date_won": _column("moment", "date_won"),
        "date_lost": _column("moment", "date_lost"),
        "note": _column("text", "note"),
    },
    "activity.email": {**_activity_fields, **_email_fields},
    "activity.meeting": {
        **_activity_fields,
        "starts_at": _column("moment", "starts_at"),
        "ends_at": _column("moment", "ends_at"),
    },
    "activity.call": _activity_fields,
    "activity.sms": _activity_fields,
    "activity.note": {
        **_activity_fields,
        "note": Field("text", lambda this, _: func.json_extract(this.c.extra, "$.note")),
    },
    "activity.custom_activity": {
        **_activity_fields,
        "custom_activity_type_id": Field(
            "term", lambda this, _: func.json_extract(this.c.extra, "$.custom_activity_type_id")
        ),
    },
    "custom_object": {**_owned, "custom_object_type_id": _column("term", "custom_object_type_id")},
    "sequence_subscription": {
        **_owned,
        "sequence_id": _column("term", "sequence_id"),
        "status": _column("term", "status"),
        "contact_id": _column("term", "contact_id"),
    },
}
