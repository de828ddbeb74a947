"""The event log: what was created, updated and deleted, by whom, with the previous data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert

from deployments.sandbox.database import schema
from deployments.sandbox.objects.labels import row_json
from deployments.sandbox.wire.ids import SHORT, new_id
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import format_event_moment, now


@dataclass(frozen=True)
class Cause:
    """Who made a change, and how: by a request, or by a bulk delete."""

    user_id: str | None
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    bulk_action_id: str | None = None
    merged: tuple[str, str] | None = None  # the ids of source and destination

    def meta(self) -> JsonObject:
        """The event's `meta`; a bulk delete's events carry its id and no request."""
        if self.bulk_action_id:
            return {"bulk_action_id": self.bulk_action_id}
        meta: JsonObject = {"request_method": self.method, "request_path": self.path}
        if self.merged:
            meta |= {"merge_source_lead_id": self.merged[0], "merge_destination_lead_id": self.merged[1]}
        return meta


@dataclass(frozen=True)
class Change:
    """One object that was created, updated or deleted."""

    action: str
    object_type: str
    object_id: str
    lead_id: str | None
    data: JsonObject | None = None
    previous: JsonObject | None = None
    changed: Sequence[str] = ()


def record(connection: Connection, cause: Cause, changes: Iterable[Change]) -> None:
    """Insert an event for each of the *changes*."""
    at = now()
    meta = cause.meta()
    rows: list[dict[str, object]] = [
        {
            "id": new_id("ev", SHORT),
            "action": change.action,
            "object_type": change.object_type,
            "object_id": change.object_id,
            "lead_id": change.lead_id,
            "user_id": cause.user_id,
            "request_id": cause.request_id,
            "date_created": at,
            "date_updated": at,
            "changed_fields": list(change.changed),
            "data": change.data,
            "previous_data": change.previous,
            "meta": meta,
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(schema.events), rows)


def changes_between(object_type: str, lead_id: str | None, before: JsonObject, after: JsonObject) -> list[Change]:
    """Returns the change from *before* to *after*, or none if only its date differs."""
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if set(keys) <= {"date_updated"}:
        return []
    previous: JsonObject = {key: before.get(key) for key in keys}
    object_id = str(after["id"])
    return [Change("updated", object_type, object_id, lead_id, after, previous, keys)]


def event_json(row: Row[Any], organization_id: str, *, details_since: datetime) -> JsonObject:
    """An event, without data if it is older than *details_since*: Close shows it to non-admins for an hour."""
    found = row_json(schema.events, row, organization_id)
    found |= {key: format_event_moment(getattr(row, key)) for key in ("date_created", "date_updated")}
    if row.date_created < details_since:
        found |= {"data": None, "previous_data": None}
    return {**found, "api_key_id": None}
