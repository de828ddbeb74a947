"""The tables. One database holds one organisation.

Rows refer to each other by small integers (`pk`, `lead_pk`); Close's long ids are stored once, in `id`. Fields that no
search uses are stored unchanged in `extra`. Indexes are created after the seed, which is several times faster.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text

from deployments.sandbox.database.moment import Moment

VERSION = 4

metadata = MetaData()
_json = JSON(none_as_null=True)


def _amount(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, Float, nullable=nullable)


def _stamps() -> tuple[Column[Any], ...]:
    return (
        Column("created_by", Text),
        Column("updated_by", Text),
        Column("date_created", Moment, nullable=False),
        Column("date_updated", Moment, nullable=False),
        Column("extra", _json),
    )


def _owned(name: str, *columns: Column[Any]) -> Table:
    """A table of objects that belong to a lead and have an id of their own."""
    return Table(
        name,
        metadata,
        Column("pk", Integer, primary_key=True),
        Column("id", Text, nullable=False),
        Column("lead_pk", Integer, nullable=False),
        *columns,
        *_stamps(),
    )


leads = Table(
    "leads",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("words", Text, nullable=False),  # the name's words, so that a whole-word search is a plain scan
    Column("description", Text, nullable=False),
    Column("url", Text),
    Column("status_id", Text, nullable=False),
    Column("custom", _json),
    Column("timezone_id", Text),
    Column("first_communication_date", Moment),
    Column("last_communication_date", Moment),
    Column("last_communication_type", Text),
    Column("last_communication_user_id", Text),
    Column("last_activity_date", Moment),
    Column("last_lead_status_change_date", Moment),
    Column("findable_at", Moment, nullable=False),  # when the search finds it: see Behaviour.index_lag_seconds
    *_stamps(),
)
addresses = Table(
    "addresses",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("lead_pk", Integer, nullable=False),
    *(Column(name, Text) for name in ("label", "address_1", "address_2", "city", "state", "zipcode", "country")),
)
contacts = _owned("contacts", Column("name", Text), Column("title", Text))


def _reachable(name: str, value: str) -> Table:
    """A table of e-mail addresses, phone numbers or web pages of contacts."""
    return Table(
        name,
        metadata,
        Column("pk", Integer, primary_key=True),
        Column("contact_pk", Integer, nullable=False),
        Column(value, Text, nullable=False),
        Column("type", Text, nullable=False),
    )


contact_emails = _reachable("contact_emails", "email")
contact_phones = _reachable("contact_phones", "phone")
contact_urls = _reachable("contact_urls", "url")

opportunities = _owned(
    "opportunities",
    Column("contact_id", Text),
    Column("user_id", Text),
    Column("status_id", Text, nullable=False),
    Column("status_type", Text, nullable=False),
    Column("value", Integer),
    Column("value_period", Text, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("date_won", Moment),
    Column("date_lost", Moment),
    Column("note", Text),
)
tasks = _owned(
    "tasks",
    Column("type", Text, nullable=False),
    Column("assigned_to", Text),
    Column("text", Text),
    Column("date", Moment),
    Column("is_complete", Boolean, nullable=False),
)
activities = _owned(
    "activities",
    Column("type", Text, nullable=False),  # call, email, sms, meeting, note, custom_activity
    Column("contact_id", Text),
    Column("user_id", Text),
    Column("activity_at", Moment),
    Column("direction", Text),  # incoming or outgoing
    Column("status", Text),
    Column("starts_at", Moment),
    Column("ends_at", Moment),
)
subscriptions = _owned(
    "subscriptions",
    Column("contact_id", Text),
    Column("sequence_id", Text),
    Column("status", Text, nullable=False),  # active, paused, finished, goal, error
)
custom_objects = _owned("custom_objects", Column("custom_object_type_id", Text))

statuses = Table(
    "statuses",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("label", Text, nullable=False),
)
custom_fields = Table(
    "custom_fields",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("object_type", Text, nullable=False),  # lead, contact, opportunity
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("choices", _json),
    Column("accepts_multiple_values", Boolean, nullable=False),
    *_stamps(),
)
saved_searches = Table(
    "saved_searches",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("type", Text, nullable=False),
    Column("query", Text),
    Column("s_query", _json),
    Column("is_shared", Boolean, nullable=False),
    Column("is_user_dependent", Boolean),
    Column("user_id", Text),
    *_stamps(),
)

bulk_deletes = Table(
    "bulk_deletes",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("phase", Text, nullable=False),  # created, loading, processing, done, error
    Column("shown_status", _json),  # the status to show instead, from processing on, in a list
    Column("paused_at", Moment),
    Column("phase_at", Moment, nullable=False),  # when the phase started or was resumed
    Column("phase_processed", Integer, nullable=False),  # how many leads were processed by then
    Column("s_query", _json, nullable=False),
    Column("echo", Text, nullable=False),  # as text, to keep the order of keys
    Column("sort", _json, nullable=False),
    Column("results_limit", Integer),
    Column("send_done_email", Boolean, nullable=False),
    Column("n_leads", Integer),
    Column("n_leads_processed", Integer, nullable=False),
    Column("n_gone_through", Integer, nullable=False),
    _amount("tz_offset_seconds", nullable=False),
    _amount("leads_per_second", nullable=False),
    Column("fail_after", Integer),
    Column("stall_after", Integer),
    *_stamps(),
)
bulk_delete_leads = Table(
    "bulk_delete_leads",
    metadata,
    Column("job_pk", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("lead_pk", Integer, nullable=False),
    sqlite_with_rowid=False,
)
exports = Table(
    "exports",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("options", _json, nullable=False),
    Column("n_docs", Integer),
    Column("n_docs_processed", Integer, nullable=False),
    _amount("tz_offset_seconds", nullable=False),
    Column("file", LargeBinary),
    *_stamps(),
)
events = Table(
    "events",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("lead_id", Text),
    Column("user_id", Text),
    Column("request_id", Text),
    Column("date_created", Moment, nullable=False),
    Column("date_updated", Moment, nullable=False),
    Column("changed_fields", _json, nullable=False),
    Column("data", _json),
    Column("previous_data", _json),
    Column("meta", _json, nullable=False),
)
journal = Table(
    "journal",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer),  # null when no answer was sent
    Column("at", Moment, nullable=False),
)
# Deleted leads that the search still finds: see Behaviour.index_lag_seconds.
removals = Table(
    "removals", metadata, Column("lead_pk", Integer, primary_key=True), Column("due_at", Moment, nullable=False)
)

CHILDREN = (contacts, opportunities, tasks, activities, subscriptions, custom_objects)
REACHABLE = (contact_emails, contact_phones, contact_urls)

INDEXES = (
    "CREATE UNIQUE INDEX leads_id ON leads (id)",
    "CREATE INDEX leads_status ON leads (status_id, date_created)",
    "CREATE INDEX leads_created ON leads (date_created)",
    "CREATE INDEX leads_updated ON leads (date_updated)",
    "CREATE INDEX leads_communication ON leads (last_communication_date, date_created, date_updated)",
    *(f"CREATE UNIQUE INDEX {table.name}_id ON {table.name} (id)" for table in CHILDREN),
    *(f"CREATE INDEX {table.name}_contact ON {table.name} (contact_pk)" for table in REACHABLE),
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
