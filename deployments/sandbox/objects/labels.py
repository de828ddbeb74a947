"""Names to show beside ids, and the fields that every object has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from deployments.sandbox.database import schema
from deployments.sandbox.organization import Organization
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import format_moment


@dataclass(frozen=True)
class Labels:
    """Names to show beside ids."""

    organization: Organization
    statuses: Mapping[str, str]
    custom_fields: Mapping[str, str]

    def user(self, user_id: str | None) -> str | None:
        """The name of a member, or None."""
        return next((user.name for user in self.organization.users if user.id == user_id), None)


def read_labels(connection: Connection, organization: Organization) -> Labels:
    """Read the current labels: statuses and custom fields can be renamed."""
    statuses = connection.execute(select(schema.statuses.c.id, schema.statuses.c.label).order_by(schema.statuses.c.pk))
    fields = connection.execute(select(schema.custom_fields.c.id, schema.custom_fields.c.name))
    return Labels(organization, {r.id: r.label for r in statuses}, {r.id: r.name for r in fields})


def common_fields(row: Row[Any], labels: Labels) -> JsonObject:
    """The fields of every object: its organisation, authors and dates."""
    return {
        "organization_id": labels.organization.id,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "date_created": format_moment(row.date_created),
        "date_updated": format_moment(row.date_updated),
    }
