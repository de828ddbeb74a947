"""Loading whole leads for tests: Close lead objects with everything nested, dates and smart fields included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.objects import write_children, write_leads
from deployments.sandbox.organization import ADMIN
from deployments.sandbox.state import State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid


def load_leads(connection: Connection, state: State, leads: Sequence[Body]) -> list[str]:
    """Write the *leads* down as given; returns their ids. No events: they were always there. Raises Invalid."""
    lag = timedelta(seconds=state.behaviour.index_lag_seconds)
    return [_load(connection, lead, lag) for lead in leads]


def _load(connection: Connection, body: Body, lag: timedelta) -> str:
    wanted = body.text("id")
    if wanted and connection.execute(select(schema.leads.c.pk).where(schema.leads.c.id == wanted)).first():
        raise Invalid(f"There is a lead {wanted} already.", (*body.path, "id"))
    lead = write_leads.add_lead(connection, body, ADMIN.id, lag)
    for each in body.objects("opportunities"):
        write_children.add_opportunity(connection, each, lead.pk, ADMIN.id)
    for each in body.objects("tasks"):
        write_children.add_task(connection, each, lead.pk, ADMIN.id)
    for each in body.objects("activities"):
        write_children.add_activity(connection, each, write_children.activity_kind(each), lead.pk, ADMIN.id)
    for each in body.objects("sequence_subscriptions"):
        write_children.add_subscription(connection, each, lead.pk, ADMIN.id)
    given = {
        name: body.moment(name) for name in write_leads.LEAD_KEYS if name.endswith("_date") and name in body
    }  # a smart field that is given stands, whatever the activities say
    if given:
        connection.execute(update(schema.leads).where(schema.leads.c.pk == lead.pk).values(given))
    return lead.id
