"""Loads whole leads for tests: Close lead objects with everything nested, including dates and smart fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.objects.write_children import (
    activity_kind,
    add_activity,
    add_opportunity,
    add_subscription,
    add_task,
)
from deployments.sandbox.objects.write_leads import LEAD_DATES, add_lead
from deployments.sandbox.organization import ADMIN
from deployments.sandbox.state import State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid


def load_leads(connection: Connection, state: State, leads: Sequence[Body]) -> list[str]:
    """Insert the *leads* as given, without events. Returns their ids. Raises Invalid."""
    lag = timedelta(seconds=state.behaviour.index_lag_seconds)
    return [_load(connection, lead, lag) for lead in leads]


def _load(connection: Connection, body: Body, lag: timedelta) -> str:
    wanted = body.text("id")
    if wanted and connection.execute(select(schema.leads.c.pk).where(schema.leads.c.id == wanted)).first():
        raise Invalid(f"There is a lead {wanted} already.", (*body.path, "id"))
    lead = add_lead(connection, body, ADMIN.id, lag)
    for each in body.objects("opportunities"):
        add_opportunity(connection, each, lead.pk, ADMIN.id)
    for each in body.objects("tasks"):
        add_task(connection, each, lead.pk, ADMIN.id)
    for each in body.objects("activities"):
        add_activity(connection, each, activity_kind(each), lead.pk, ADMIN.id)
    for each in body.objects("sequence_subscriptions"):
        add_subscription(connection, each, lead.pk, ADMIN.id)
    given = {name: body.moment(name) for name in LEAD_DATES if name in body}
    if given:  # it overrides what follows from the activities
        connection.execute(update(schema.leads).where(schema.leads.c.pk == lead.pk).values(given))
    return lead.id
