"""Which statuses leads and opportunities had, and when: what the node ``in_status`` asks for.

A status that an object has left stands in `past_statuses`. The one it has now isn't written anywhere but in the object
itself, so that making up a million leads costs nothing here: it holds since the last change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Table,
    and_,
    case,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
)

from deployments.sandbox import schema
from deployments.sandbox.conditions import Asker, moment, required_texts
from deployments.sandbox.moments import Moment
from deployments.sandbox.wire import Body

past = schema.past_statuses
CHANGED = {schema.leads: "last_lead_status_change_date", schema.opportunities: "last_status_change_date"}


def change_status(
    connection: Connection, table: Table, before: Row[Any], status_id: str | None, at: datetime
) -> dict[str, Any]:
    """The columns of *before* that change with its status, *at* this instant; none if it keeps the one it has.

    The status that it leaves is remembered.
    """
    if status_id in (None, before.status_id):
        return {}
    left = select(table.c.id, table.c.status_id, _since(table, table), literal(at, Moment()))
    columns = ("object_id", "status_id", "since", "until")
    connection.execute(insert(past).from_select(columns, left.where(table.c.pk == before.pk)))
    return {"status_id": status_id, CHANGED[table]: at}


def forget_object(connection: Connection, object_id: str) -> None:
    """Delete the history of an object that is deleted."""
    connection.execute(delete(past).where(past.c.object_id == object_id))


def forget_leads(connection: Connection, lead_pks: Sequence[int]) -> None:
    """Delete the history of leads, and of their opportunities, whose rows are about to go."""
    leads, opportunities = schema.leads, schema.opportunities
    ids = union_all(
        select(leads.c.id).where(leads.c.pk.in_(lead_pks)),
        select(opportunities.c.id).where(opportunities.c.lead_pk.in_(lead_pks)),
    )
    connection.execute(delete(past).where(past.c.object_id.in_(ids)))


def in_status(body: Body, table: Table, rows: FromClause, asker: Asker) -> ColumnElement[bool]:
    """Whether an object of *rows* was in one of the statuses at some time from ``on_or_after`` to ``before``.

    What it is now it is until now: nothing has been in a status in the future yet. Raises Invalid (a 400).
    """
    if table not in CHANGED:
        raise body.invalid("type", "Only leads and opportunities have statuses.")
    wanted = required_texts(body, "status_ids")
    after, before = (moment(each, asker) if (each := body.object(key)) else None for key in ("on_or_after", "before"))
    if after is not None and before is not None and before <= after:
        return false()
    began = true() if before is None else _since(table, rows) < before
    now = and_(rows.c.status_id.in_(wanted), began, true() if after is None or after <= asker.now else false())
    ended = select(past.c.object_id).where(past.c.status_id.in_(wanted))
    if after is not None:
        ended = ended.where(past.c.until > after)
    if before is not None:
        ended = ended.where(past.c.since < before)
    return or_(now, rows.c.id.in_(ended))


def _since(table: Table, rows: FromClause) -> ColumnElement[datetime]:
    """Since when the objects of *rows* have had their status.

    Without a known change that is their creation, for won and lost opportunities when they were won or lost.
    """
    known: list[ColumnElement[datetime]] = [rows.c[CHANGED[table]]]
    if table is schema.opportunities:
        kind = rows.c.status_type
        known.append(case((kind == "won", rows.c.date_won), (kind == "lost", rows.c.date_lost)))
    return func.coalesce(*known, rows.c.date_created, type_=Moment())
