"""Names to show beside ids, and the columns of a row as Close shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from deployments.sandbox.database import schema
from deployments.sandbox.organization import Organization
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import format_moment

INTERNAL = frozenset(("pk", "lead_pk", "extra"))
_STATUSES = select(schema.statuses.c.id, schema.statuses.c.label).order_by(schema.statuses.c.pk)
_CUSTOM_FIELDS = select(schema.custom_fields.c.id, schema.custom_fields.c.name)


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
    statuses, fields = connection.execute(_STATUSES), connection.execute(_CUSTOM_FIELDS)
    return Labels(organization, {r.id: r.label for r in statuses}, {r.id: r.name for r in fields})


def row_json(table: Table, row: Row[Any], organization_id: str, *, without: Collection[str] = ()) -> JsonObject:
    """What `extra` has, the organisation, and the columns of a *row* of *table* but the internal ones."""
    values = dict(zip(table.c.keys(), row, strict=True))
    found: JsonObject = {**(values.get("extra") or {}), "organization_id": organization_id}
    for name, value in values.items():
        if name not in INTERNAL and name not in without:
            found[name] = format_moment(value) if isinstance(value, datetime) else value
    return found
