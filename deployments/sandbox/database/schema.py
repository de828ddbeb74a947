"""The tables. One database holds one organisation.

Rows refer to each other by small integers (`pk`, `lead_pk`); Close's long ids are stored once, in `id`. Fields that no
search uses are stored unchanged in `extra`. Indexes are created after the seed, which is several times faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from deployments.sandbox.wire.moments import from_microseconds, microseconds

VERSION = 4


class Moment(TypeDecorator[datetime]):
    """A column of instants, stored as integer microseconds so that ranges compare and index exactly."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002, D102
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        return None if value is None else from_microseconds(value)


metadata = MetaData()
_Json = JSON(none_as_null=True)


def _of(kind: type[TypeEngine[Any]] | TypeEngine[Any], *names: str) -> Iterator[Column[Any]]:
    """Columns of one type; those with a question mark may be empty."""
    for name in names:
        yield Column(name.removesuffix("?"), kind, nullable=name.endswith("?"))


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(name, metadata, Column("pk", Integer, primary_key=True), *columns)


def _object(name: str, *columns: Column[Any]) -> Table:
    """A table of objects with an id, authors and dates."""
    stamps = (*_of(Text, "created_by?", "updated_by?"), *_of(Moment, "date_created", "date_updated"))
    return _table(name, *_of(Text, "id"), *columns, *stamps, *_of(_Json, "extra?"))


def _owned(name: str, *columns: Column[Any]) -> Table:
    """A table of objects that belong to a lead."""
    return _object(name, *_of(Integer, "lead_pk"), *columns)


def _reachable(name: str, value: str) -> Table:
    """A table of e-mail addresses, phone numbers or web pages of contacts."""
    return _table(name, *_of(Integer, "contact_pk"), *_of(Text, value, "type"))


# `words` are the name's, so that a whole-word search is a plain scan; `findable_at` is when the search finds the lead:
# see Behaviour.index_lag_seconds.
leads = _object(
    "leads",
    *_of(Text, "name", "words", "description", "url?", "status_id", "timezone_id?"),
    *_of(_Json, "custom?"),
    *_of(Moment, "first_communication_date?", "last_communication_date?", "last_activity_date?"),
    *_of(Moment, "last_lead_status_change_date?", "findable_at"),
    *_of(Text, "last_communication_type?", "last_communication_user_id?"),
)
ADDRESS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")
addresses = _table("addresses", *_of(Integer, "lead_pk"), *_of(Text, *(f"{name}?" for name in ADDRESS)))
contacts = _owned("contacts", *_of(Text, "name?", "title?"))
contact_emails = _reachable("contact_emails", "email")
contact_phones = _reachable("contact_phones", "phone")
contact_urls = _reachable("contact_urls", "url")
opportunities = _owned(
    "opportunities",
    *_of(Text, "contact_id?", "user_id?", "status_id", "status_type", "value_period", "note?"),
    *_of(Integer, "value?", "confidence"),
    *_of(Moment, "date_won?", "date_lost?"),
)
tasks = _owned(
    "tasks", *_of(Text, "type", "assigned_to?", "text?"), *_of(Moment, "date?"), *_of(Boolean, "is_complete")
)
# type: call, email, sms, meeting, note, custom_activity; direction: incoming or outgoing.
activities = _owned(
    "activities",
    *_of(Text, "type", "contact_id?", "user_id?", "direction?", "status?"),
    *_of(Moment, "activity_at?", "starts_at?", "ends_at?"),
)
subscriptions = _owned("subscriptions", *_of(Text, "contact_id?", "sequence_id?", "status"))
custom_objects = _owned("custom_objects", *_of(Text, "custom_object_type_id?"))

statuses = _table("statuses", *_of(Text, "id", "label"))
custom_fields = _object(
    "custom_fields",
    *_of(Text, "object_type", "name", "type"),
    *_of(_Json, "choices?"),
    *_of(Boolean, "accepts_multiple_values"),
)
saved_searches = _object(
    "saved_searches",
    *_of(Text, "name", "description?", "type", "query?", "user_id?"),
    *_of(_Json, "s_query?"),
    *_of(Boolean, "is_shared", "is_user_dependent?"),
)

# phase: created, loading, processing, done, error; phase_at: when it started or was resumed; phase_processed: how many
# leads were processed by then. shown_status: the status to show instead, from processing on, in a list. echo: the query
# to show, as text, to keep the order of its keys.
bulk_deletes = _object(
    "bulk_deletes",
    *_of(Text, "phase", "echo"),
    *_of(_Json, "shown_status?", "s_query", "sort"),
    *_of(Moment, "paused_at?", "phase_at"),
    *_of(Integer, "phase_processed", "results_limit?", "n_leads?", "n_leads_processed", "n_gone_through"),
    *_of(Integer, "fail_after?", "stall_after?"),
    *_of(Boolean, "send_done_email"),
    *_of(Float, "tz_offset_seconds", "leads_per_second"),
)
bulk_delete_leads = Table(
    "bulk_delete_leads",
    metadata,
    Column("job_pk", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    *_of(Integer, "lead_pk"),
    sqlite_with_rowid=False,
)
exports = _object(
    "exports",
    *_of(Text, "status"),
    *_of(_Json, "options"),
    *_of(Integer, "n_docs?", "n_docs_processed"),
    *_of(Float, "tz_offset_seconds"),
    *_of(LargeBinary, "file?"),
)
events = _table(
    "events",
    *_of(Text, "id", "action", "object_type", "object_id", "lead_id?", "user_id?", "request_id?"),
    *_of(Moment, "date_created", "date_updated"),
    *_of(_Json, "changed_fields", "data?", "previous_data?", "meta"),
)
# status is empty when no answer was sent.
journal = _table("journal", *_of(Text, "method", "path"), *_of(Integer, "status?"), *_of(Moment, "at"))
# Deleted leads that the search still finds: see Behaviour.index_lag_seconds.
removals = Table("removals", metadata, Column("lead_pk", Integer, primary_key=True), *_of(Moment, "due_at"))

CHILDREN = (contacts, opportunities, tasks, activities, subscriptions, custom_objects)
# Ways to reach contacts: the table, its name in a contact, and the column with the address.
REACHABLE = ((contact_emails, "emails", "email"), (contact_phones, "phones", "phone"), (contact_urls, "urls", "url"))

INDEXES = (
    "CREATE UNIQUE INDEX leads_id ON leads (id)",
    "CREATE INDEX leads_status ON leads (status_id, date_created)",
    "CREATE INDEX leads_created ON leads (date_created)",
    "CREATE INDEX leads_updated ON leads (date_updated)",
    "CREATE INDEX leads_communication ON leads (last_communication_date, date_created, date_updated)",
    *(f"CREATE UNIQUE INDEX {table.name}_id ON {table.name} (id)" for table in CHILDREN),
    *(f"CREATE INDEX {table.name}_contact ON {table.name} (contact_pk)" for table, _, _ in REACHABLE),
    "CREATE INDEX addresses_lead ON addresses (lead_pk)",
    "CREATE INDEX contacts_lead ON contacts (lead_pk)",
    "CREATE INDEX opportunities_lead ON opportunities (lead_pk, status_type)",
    "CREATE INDEX tasks_lead ON tasks (lead_pk, is_complete)",
    "CREATE INDEX activities_lead ON activities (lead_pk, type)",
    "CREATE INDEX meetings_lead ON activities (lead_pk, starts_at) WHERE type = 'meeting'",
    "CREATE INDEX subscriptions_lead ON subscriptions (lead_pk, status)",
    "CREATE INDEX custom_objects_lead ON custom_objects (lead_pk)",
    "CREATE UNIQUE INDEX bulk_deletes_id ON bulk_deletes (id)",
    "CREATE UNIQUE INDEX exports_id ON exports (id)",
    "CREATE UNIQUE INDEX events_id ON events (id)",
    "CREATE INDEX events_lead ON events (lead_id, object_type)",
    "CREATE INDEX events_type ON events (object_type, action)",
    "CREATE INDEX events_object ON events (object_id)",
)
