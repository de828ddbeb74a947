"""The lead statuses, custom fields and Smart Views of a new organisation."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from deployments.sandbox.database import schema
from deployments.sandbox.organization import CUSTOM_FIELDS, SMART_VIEWS, STATUS_IDS, Organization

AGE = timedelta(days=5 * 365)


def add_customizations(connection: Connection, organization: Organization, now: datetime) -> None:
    """Insert them as if created five years before *now*."""
    stamps = {
        "created_by": organization.users[0].id,
        "updated_by": organization.users[0].id,
        "date_created": now - AGE,
        "date_updated": now - AGE,
        "extra": None,
    }
    connection.execute(insert(schema.statuses), [{"id": id_, "label": label} for label, id_ in STATUS_IDS.items()])
    connection.execute(
        insert(schema.custom_fields),
        [
            {
                "id": field.id,
                "object_type": "lead",
                "name": field.name,
                "type": field.type,
                "choices": list(field.choices) if field.choices else None,
                "accepts_multiple_values": False,
                **stamps,
            }
            for field in CUSTOM_FIELDS
        ],
    )
    connection.execute(
        insert(schema.saved_searches),
        [
            {
                "id": view.id,
                "name": view.name,
                "description": None,
                "type": view.type,
                "query": view.query,
                "s_query": view.s_query,
                "is_shared": True,
                "is_user_dependent": view.is_user_dependent,
                "user_id": organization.users[0].id,
                **stamps,
            }
            for view in SMART_VIEWS
        ],
    )
