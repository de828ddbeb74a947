"""Deletes leads with everything that belongs to them, and records what they were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from deployments.sandbox.database import schema
from deployments.sandbox.objects.events import Cause, Change, record
from deployments.sandbox.objects.labels import Labels
from deployments.sandbox.objects.serialize_children import event_type
from deployments.sandbox.objects.serialize_leads import children_json, logged_leads, rows_of
from deployments.sandbox.wire.moments import now


def delete_leads(
    connection: Connection, pks: Sequence[int], cause: Cause, labels: Labels, *, lag: timedelta = timedelta(0)
) -> int:
    """Delete the leads *pks*, with an event for each lead and each object. Returns how many there were.

    With a *lag*, searches still find them for that long.
    """
    leads = connection.execute(select(schema.leads).where(schema.leads.c.pk.in_(pks), not_deleted())).all()
    pks = [lead.pk for lead in leads]
    if not pks:
        return 0
    by_pk = {lead.pk: lead for lead in leads}
    changes: list[Change] = []
    for table in schema.CHILDREN:
        rows = rows_of(connection, table, "lead_pk", pks)
        for row, previous in zip(rows, children_json(connection, table, rows, labels, by_pk), strict=True):
            kind, lead_id = event_type(table, row), by_pk[row.lead_pk].id
            changes.append(Change("deleted", kind, row.id, lead_id, previous=previous))
    logged = logged_leads(connection, leads, labels)
    changes += [
        Change("deleted", "lead", lead.id, lead.id, previous=previous)
        for lead, previous in zip(leads, logged, strict=True)
    ]
    record(connection, cause, changes)
    if lag:
        due = now() + lag
        connection.execute(insert(schema.removals), [{"lead_pk": pk, "due_at": due} for pk in pks])
    else:
        delete_rows(connection, pks)
    return len(pks)


def not_deleted(column: ColumnElement[int] = schema.leads.c.pk) -> ColumnElement[bool]:
    """The condition that a lead, by its pk in *column*, isn't deleted. Searches lag, and don't use it."""
    return column.not_in(select(schema.removals.c.lead_pk))


def delete_rows(connection: Connection, lead_pks: Sequence[int]) -> None:
    """Delete the rows of leads and of everything that belongs to them."""
    mine = select(schema.contacts.c.pk).where(schema.contacts.c.lead_pk.in_(lead_pks))
    for table, _, _ in schema.REACHABLE:
        connection.execute(delete(table).where(table.c.contact_pk.in_(mine)))
    for table in (*schema.CHILDREN, schema.addresses):
        connection.execute(delete(table).where(table.c.lead_pk.in_(lead_pks)))
    connection.execute(delete(schema.leads).where(schema.leads.c.pk.in_(lead_pks)))


def delete_due_rows(connection: Connection) -> None:
    """Delete the rows of deleted leads that the search index has caught up with."""
    removals = schema.removals
    due = connection.scalars(select(removals.c.lead_pk).where(removals.c.due_at <= now()).limit(500)).all()
    if due:
        delete_rows(connection, due)
        connection.execute(delete(removals).where(removals.c.lead_pk.in_(due)))
