"""The lead statuses, custom fields and Smart Views of a new organisation."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from deployments.sandbox.database import schema
from deployments.sandbox.objects.write_leads import stamps
from deployments.sandbox.organization import CUSTOM_FIELDS, SMART_VIEWS, STATUS_IDS, Organization

AGE = timedelta(days=5 * 365)


def add_customizations(connection: Connection, organization: Organization, now: datetime) -> None:
    """Insert them as if created five years before *now*."""
    owner = organization.users[0].id
    common = {**stamps(owner, now - AGE), "extra": None}
    connection.execute(insert(schema.statuses), [{"id": id_, "label": label} for label, id_ in STATUS_IDS.items()])
    fields = [{**vars(field), "object_type": "lead", "accepts_multiple_values": False} for field in CUSTOM_FIELDS]
    connection.execute(insert(schema.custom_fields), [{**field, **common} for field in fields])
    columns = ("id", "name", "type", "query", "s_query", "is_user_dependent")
    views = [{name: getattr(view, name) for name in columns} for view in SMART_VIEWS]
    shared = {"description": None, "is_shared": True, "user_id": owner}
    connection.execute(insert(schema.saved_searches), [{**view, **shared, **common} for view in views])
