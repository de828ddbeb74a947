"""The fields of Advanced Filtering, by object type: their kind and their SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, FromClause, Table, bindparam, func, literal, select

from deployments.sandbox.database import schema
from deployments.sandbox.wire.moments import now

Kind: TypeAlias = Literal[
    "text", "term", "number", "moment", "date", "boolean", "status.lead", "status.opportunity", "user"
]
Expression: TypeAlias = ColumnElement[Any]
Where: TypeAlias = Callable[[FromClause], list[ColumnElement[bool]]]


@lru_cache(maxsize=1000)
def alias(table: Table, name: str) -> FromClause:
    """The alias of *table* with this *name*: always the same one, since making its columns takes most of a search."""
    return table.alias(name)


def rows_beneath(this: FromClause, table: Table) -> FromClause:
    """The rows of *table* in a subquery of *this*, under a name that nothing around them has."""
    return alias(table, f"{this.description}_{table.name}")


@dataclass(frozen=True)
class Field:
    """A searchable field: its kind, and its value in a row of *this* table."""

    kind: Kind
    read: Callable[[FromClause], Expression]
    words: Callable[[FromClause], Expression] | None = None
    nullable: bool = True


def _column(kind: Kind, name: str, nullable: bool = True) -> Field:
    return Field(kind, lambda this: this.c[name], nullable=nullable)


def _extra(kind: Kind, name: str) -> Field:
    return Field(kind, lambda this: func.json_extract(this.c.extra, f"$.{name}"))


def _columns(kind: Kind, *names: str, nullable: bool = True) -> dict[str, Field]:
    return {name: _column(kind, name, nullable) for name in names}


def _aggregate(
    kind: Kind,
    value: Callable[[FromClause], Expression],
    table: Table,
    where: Where = lambda _: [],
    key: str = "lead_pk",
) -> Field:
    """An aggregate over the rows of *table* that belong to this row."""

    def read(this: FromClause) -> Expression:
        rows = rows_beneath(this, table)
        query = select(value(rows)).where(rows.c[key] == this.c.pk, *where(rows))
        return query.correlate(this).scalar_subquery()

    return Field(kind, read, nullable=kind == "moment")


def _number_of(table: Table, where: Where = lambda _: [], key: str = "lead_pk") -> Field:
    return _aggregate("number", lambda _: func.count(), table, where, key)


def _number_with(table: Table, **values: str | bool) -> Field:
    return _number_of(table, _with(**values))


def _date(pick: Callable[..., Expression], table: Table, column: str, **values: str | bool) -> Field:
    """The first or last date, as *pick* says, in the rows of *table* with these values."""
    return _aggregate("moment", lambda rows: pick(rows.c[column], type_=schema.Moment()), table, _with(**values))


def _number_reachable(table: Table) -> Field:
    """How many e-mail addresses (phone numbers, web pages) the contacts of a lead have together."""

    def read(this: FromClause) -> Expression:
        rows, contact = rows_beneath(this, table), rows_beneath(this, schema.contacts)
        query = select(func.count()).select_from(rows.join(contact, rows.c.contact_pk == contact.c.pk))
        return query.where(contact.c.lead_pk == this.c.pk).correlate(this).scalar_subquery()

    return Field("number", read)


def _with(**values: str | bool) -> Where:
    return lambda rows: [rows.c[name] == value for name, value in values.items()]


_NOW = bindparam("now", callable_=now, type_=schema.Moment())  # when the statement is executed


def _meeting(when: Literal["ahead", "running", "over"]) -> Where:
    """Meetings that are ahead, running or over, without cancelled and declined ones."""

    def where(rows: FromClause) -> list[ColumnElement[bool]]:
        time = {
            "ahead": rows.c.starts_at > _NOW,
            "running": (rows.c.starts_at <= _NOW) & (rows.c.ends_at > _NOW),
            "over": rows.c.ends_at <= _NOW,
        }[when]
        return [rows.c.type == literal("meeting", literal_execute=True), time, rows.c.status.not_like("%ed-by-lead")]

    return where


def _opportunity_values() -> Iterator[tuple[str, Field]]:
    """{min,max,avg,total}_{annual,annualized,monthly,one_time}_[active|won|lost_]opportunity_value, in cents."""

    def field(aggregate: Callable[..., Expression], period: str, **kind: str) -> Field:
        def value(rows: FromClause) -> Expression:
            yearly = func.iif(rows.c.value_period == "monthly", rows.c.value * 12, rows.c.value)
            return aggregate(yearly if period == "annualized" else rows.c.value)

        of_period = {} if period == "annualized" else {"value_period": period}
        return _aggregate("number", value, schema.opportunities, _with(**of_period, **kind))

    aggregates = {"min": func.min, "max": func.max, "avg": func.avg, "total": func.total}
    for name, period in product(aggregates, ("annual", "annualized", "monthly", "one_time")):
        yield f"{name}_{period}_opportunity_value", field(aggregates[name], period)
        for kind in ("active", "won", "lost"):
            yield f"{name}_{period}_{kind}_opportunity_value", field(aggregates[name], period, status_type=kind)


def _communication_dates() -> Iterator[tuple[str, Field]]:
    for which, pick in (("first", func.min), ("last", func.max)):
        for kind in ("call", "email", "sms"):
            yield f"{which}_{kind}_date", _date(pick, schema.activities, "activity_at", type=kind)
            for way in ("incoming", "outgoing"):
                date = _date(pick, schema.activities, "activity_at", type=kind, direction=way)
                yield f"{which}_{way}_{kind}_date", date


_stamps: dict[str, Field] = {
    "id": _column("term", "id", nullable=False),
    **_columns("user", "created_by", "updated_by"),
    **_columns("moment", "date_created", "date_updated", nullable=False),
}
_name = Field("text", lambda this: this.c.name, words=lambda this: this.c.words, nullable=False)
_urls = _number_reachable(schema.contact_urls)

LEAD_STORED: dict[str, Field] = {
    **_stamps,
    "name": _name,
    "display_name": _name,
    **_columns("text", "description", "url"),
    "status_id": _column("status.lead", "status_id", nullable=False),
    "timezone_id": _column("term", "timezone_id"),
}
# Smart fields: Close computes them, and shows them only on request.
LEAD_SMART: dict[str, Field] = {
    **_columns("moment", "first_communication_date", "last_communication_date"),
    **_columns("term", "last_communication_type"),
    **_columns("user", "last_communication_user_id"),
    **_columns("moment", "last_activity_date", "last_lead_status_change_date"),
    "times_communicated": _number_of(
        schema.activities, lambda rows: [rows.c.type.in_(("call", "email", "sms", "meeting"))]
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
    "num_calls": _number_with(schema.activities, type="call"),
    "num_incoming_calls": _number_with(schema.activities, type="call", direction="incoming"),
    "num_outgoing_calls": _number_with(schema.activities, type="call", direction="outgoing"),
    "num_missed_calls": _number_with(schema.activities, type="call", direction="incoming", status="no-answer"),
    "num_emails": _number_with(schema.activities, type="email"),
    "num_sent_emails": _number_with(schema.activities, type="email", direction="outgoing", status="sent"),
    "num_outgoing_emails": _number_with(schema.activities, type="email", direction="outgoing"),
    "num_received_emails": _number_with(schema.activities, type="email", direction="incoming"),
    "num_sms": _number_with(schema.activities, type="sms"),
    "num_sent_sms": _number_with(schema.activities, type="sms", direction="outgoing"),
    "num_received_sms": _number_with(schema.activities, type="sms", direction="incoming"),
    "num_notes": _number_with(schema.activities, type="note"),
    "last_note_date": _date(func.max, schema.activities, "activity_at", type="note"),
    "num_tasks": _number_of(schema.tasks),
    "num_completed_tasks": _number_with(schema.tasks, is_complete=True),
    "num_incomplete_tasks": _number_with(schema.tasks, is_complete=False),
    "next_task_date": _date(func.min, schema.tasks, "date", is_complete=False),
    "num_meetings": _number_with(schema.activities, type="meeting"),
    "num_upcoming_meetings": _number_of(schema.activities, _meeting("ahead")),
    "num_in_progress_meetings": _number_of(schema.activities, _meeting("running")),
    "num_completed_meetings": _number_of(schema.activities, _meeting("over")),
    "num_canceled_meetings": _number_with(schema.activities, type="meeting", status="canceled-by-lead"),
    "num_declined_meetings": _number_with(schema.activities, type="meeting", status="declined-by-lead"),
    "num_opportunities": _number_of(schema.opportunities),
    "num_active_opportunities": _number_with(schema.opportunities, status_type="active"),
    "num_won_opportunities": _number_with(schema.opportunities, status_type="won"),
    "num_lost_opportunities": _number_with(schema.opportunities, status_type="lost"),
    **dict(_communication_dates()),
    **dict(_opportunity_values()),
}


def _lead_id(this: FromClause) -> Expression:
    lead = rows_beneath(this, schema.leads)
    return select(lead.c.id).where(lead.c.pk == this.c.lead_pk).correlate(this).scalar_subquery()


_owned: dict[str, Field] = {**_stamps, "lead_id": Field("term", _lead_id)}
_activity_fields: dict[str, Field] = {
    **_owned,
    **_columns("user", "user_id"),
    **_columns("term", "contact_id", "direction", "status"),
    **_columns("moment", "activity_at"),
}
_email_fields: dict[str, Field] = {
    "date": _column("moment", "activity_at"),
    "date_sent": _column("moment", "activity_at"),
    "has_reply": Field("boolean", lambda this: func.coalesce(func.json_extract(this.c.extra, "$.has_reply"), 0)),
    "subject": _extra("text", "subject"),
}


def _reachable(name: str) -> dict[str, Field]:
    return {name: _column("text", name, nullable=False), "type": _column("term", "type", nullable=False)}


FIELDS: dict[str, dict[str, Field]] = {
    "lead": {**LEAD_STORED, **LEAD_SMART},
    "contact": {
        **_owned,
        **_columns("text", "name", "title"),
        "emails_count": _number_of(schema.contact_emails, key="contact_pk"),
        "phones_count": _number_of(schema.contact_phones, key="contact_pk"),
        "urls_count": _number_of(schema.contact_urls, key="contact_pk"),
    },
    "contact_email": _reachable("email"),
    "contact_phone": _reachable("phone"),
    "contact_url": _reachable("url"),
    "address": _columns("text", *schema.ADDRESS),
    "opportunity": {
        **_owned,
        "status_id": _column("status.opportunity", "status_id"),
        **_columns("term", "status_type", "contact_id", "value_period"),
        **_columns("user", "user_id"),
        **_columns("number", "value", "confidence"),
        "date_won": Field("date", lambda this: func.midnight(this.c.date_won, type_=schema.Moment())),
        **_columns("moment", "date_lost"),
        **_columns("text", "note"),
    },
    "activity.email": {**_activity_fields, **_email_fields},
    "activity.meeting": {**_activity_fields, **_columns("moment", "starts_at", "ends_at")},
    "activity.call": _activity_fields,
    "activity.sms": _activity_fields,
    "activity.note": {**_activity_fields, "note": _extra("text", "note")},
    "activity.custom_activity": {
        **_activity_fields,
        "custom_activity_type_id": _extra("term", "custom_activity_type_id"),
    },
    "custom_object": {**_owned, **_columns("term", "custom_object_type_id")},
    "sequence_subscription": {**_owned, **_columns("term", "sequence_id", "status", "contact_id")},
}
