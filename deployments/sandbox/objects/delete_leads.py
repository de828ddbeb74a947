"""Deleting leads with everything that belongs to them, and writing down what they were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from deployments.sandbox.database import schema
from deployments.sandbox.objects import serialize_children, serialize_leads
from deployments.sandbox.objects.events import Cause, Change, record
from deployments.sandbox.objects.labels import Labels
from deployments.sandbox.wire.moments import now


def delete_leads(
    connection: Connection, pks: Sequence[int], cause: Cause, labels: Labels, *, lag: timedelta = timedelta(0)
) -> int:
    """Delete the leads *pks*, with an event for each lead and each object of theirs; says how many were there.

    With a *lag* their rows stay for as long, found by searches only.
    """
    leads = connection.execute(select(schema.leads).where(schema.leads.c.pk.in_(pks), existing())).all()
    pks = [lead.pk for lead in leads]
    if not pks:
        return 0
    by_pk = {lead.pk: lead for lead in leads}
    changes: list[Change] = []
    contacts = serialize_leads.contacts_by_lead(connection, pks, {lead.pk: lead.id for lead in leads}, labels)
    for pk, found in contacts.items():
        changes += [Change("deleted", "contact", str(each["id"]), by_pk[pk].id, previous=each) for each in found]
    for table in schema.CHILDREN[1:]:
        show = serialize_children.CHILDREN_JSON[table.name]
        for pk, rows in serialize_leads.by_owner(connection, table, "lead_pk", pks).items():
            for row in rows:
                previous = show(row, by_pk[pk], labels)
                kind = serialize_children.event_type(table.name, row)
                changes.append(Change("deleted", kind, row.id, by_pk[pk].id, previous=previous))
    changes += [
        Change("deleted", "lead", lead.id, lead.id, previous=serialize_leads.lead_json(lead, labels)) for lead in leads
    ]
    record(connection, cause, changes)
    if lag:
        due = now() + lag
        connection.execute(insert(schema.removals), [{"lead_pk": pk, "due_at": due} for pk in pks])
    else:
        erase(connection, pks)
    return len(pks)


def existing(column: ColumnElement[int] = schema.leads.c.pk) -> ColumnElement[bool]:
    """Leads that aren't deleted, by their pk in *column*: what every read but a search looks at."""
    return column.not_in(select(schema.removals.c.lead_pk))


def erase(connection: Connection, lead_pks: Sequence[int]) -> None:
    """Take the rows of leads and of all that belongs to them out of the database."""
    mine = select(schema.contacts.c.pk).where(schema.contacts.c.lead_pk.in_(lead_pks))
    for table in schema.REACHABLE:
        connection.execute(delete(table).where(table.c.contact_pk.in_(mine)))
    for table in (*schema.CHILDREN, schema.addresses):
        connection.execute(delete(table).where(table.c.lead_pk.in_(lead_pks)))
    connection.execute(delete(schema.leads).where(schema.leads.c.pk.in_(lead_pks)))


def erase_due(connection: Connection) -> None:
    """Erase the deleted leads that the search index has noticed by now."""
    removals = schema.removals
    due = connection.scalars(select(removals.c.lead_pk).where(removals.c.due_at <= now()).limit(500)).all()
    if due:
        erase(connection, due)
        connection.execute(delete(removals).where(removals.c.lead_pk.in_(due)))
