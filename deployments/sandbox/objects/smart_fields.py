"""Smart fields: fields of leads that Close computes, and shows only on request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from deployments.sandbox.database import schema
from deployments.sandbox.query.fields import LEAD_SMART
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import format_moment, now

ALL = "_all"


def smart_names(fields: Iterable[str] | None) -> list[str]:
    """Returns the smart fields among *fields*; ``_all`` means every one."""
    if fields is None:
        return []
    wanted = set(fields)
    return [name for name in LEAD_SMART if ALL in wanted or name in wanted]


def smart_values(connection: Connection, pks: Sequence[int], names: Sequence[str]) -> dict[int, JsonObject]:
    """Returns the smart fields *names* for each of the leads *pks*."""
    if not names or not pks:
        return {}
    lead, at = schema.leads.alias("lead"), now()
    columns = [LEAD_SMART[name].read(lead, at).label(name) for name in names]
    rows = connection.execute(select(lead.c.pk, *columns).where(lead.c.pk.in_(pks)))
    return {pk: {name: _shown(value) for name, value in zip(names, values, strict=True)} for pk, *values in rows}


def _shown(value: object) -> Json:
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, str | int | float | None):
        return value
    raise TypeError(value)
