"""Searches: a compiled query with its order, ready to count and select rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from deployments.sandbox.database import schema
from deployments.sandbox.query.compiler import CompiledQuery, References, compile_query, custom_value
from deployments.sandbox.query.conditions import QueryContext
from deployments.sandbox.query.fields import FIELDS, Expression
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, REQUIRED
from deployments.sandbox.wire.json_types import JsonObject

EVERY_LEAD: JsonObject = {"type": "object_type", "object_type": "lead"}
SORTABLE = ("text", "number", "moment", "date")
_known = schema.custom_fields
_CUSTOM_FIELDS = select(_known.c.id, _known.c.type).where(_known.c.object_type == "lead")
_SMART_VIEWS = select(schema.saved_searches.c.id, schema.saved_searches.c.s_query)


@dataclass(frozen=True)
class Search:
    """A search: a compiled query, its condition including the index lag, and its order."""

    query: CompiledQuery
    where: ColumnElement[bool]
    order: Sequence[ColumnElement[Any]]

    def count(self, connection: Connection) -> int:
        """Returns the number of matching rows."""
        return connection.execute(select(func.count()).select_from(self.query.rows).where(self.where)).scalar_one()

    def rows(self, *, skip: int = 0, limit: int | None = None) -> Select[Any]:
        """Selects the matching rows in order."""
        found = select(self.query.rows).where(self.where).order_by(*self.order)
        return found.offset(skip).limit(limit)

    def pks(self, *, limit: int | None = None) -> Select[Any, Any]:
        """Selects position (from 0) and pk of the matching rows in order."""
        rows = self.query.rows
        position = func.row_number().over(order_by=self.order) - 1
        return select(position, rows.c.pk).where(self.where).order_by(*self.order).limit(limit)


def read_references(connection: Connection) -> References:
    """Read the custom fields and Smart Views that queries may refer to."""
    fields, views = connection.execute(_CUSTOM_FIELDS), connection.execute(_SMART_VIEWS)
    return References(
        {row.id: row.type for row in fields},
        {row.id: row.s_query.get("query") if row.s_query else None for row in views},
    )


def prepare_search(connection: Connection, query: Body, sort: Sequence[Body], context: QueryContext) -> Search:
    """Compile *query* and *sort*. Raises Invalid (a 400)."""
    references = read_references(connection)
    found = compile_query(query, context, references)
    order = [_order(each, found, references) for each in sort]
    where = found.where
    if context.behaviour.index_lag_seconds and found.object_type == "lead":
        where = and_(found.rows.c.findable_at <= context.now, where)
    return Search(found, where, [*order, found.rows.c.pk])


def _order(body: Body, found: CompiledQuery, references: References) -> ColumnElement[Any]:
    direction = body.choice("direction", ("asc", "desc"), "asc")
    value, nullable = _sort_value(body.required_object("field"), found, references)
    ordered = value.asc() if direction == "asc" else value.desc()
    return ordered.nulls_last() if nullable else ordered


def _sort_value(field: Body, found: CompiledQuery, references: References) -> tuple[Expression, bool]:
    if field.choice("type", ("regular_field", "custom_field"), "regular_field") == "custom_field":
        custom_id = field.required_text("custom_field_id")
        if custom_id not in references.custom_fields or found.object_type != "lead":
            raise field.invalid("custom_field_id", NO_SUCH_OBJECT)
        return custom_value(found.rows, custom_id, references.custom_fields[custom_id]).value, True
    if field.required_text("object_type") != found.object_type:
        raise field.invalid("object_type", f"Expected {found.object_type}.")
    name = field.required_text("field_name")
    known = FIELDS[found.object_type].get(name)
    if known is None or known.kind not in SORTABLE:
        raise field.invalid("field_name", "Not a valid choice.")
    return known.read(found.rows), known.nullable


def required_query(body: Body, key: str) -> Body:
    """The query under *key*. Raises Invalid if it is missing or empty."""
    query = body.required_object(key)
    if not query.data:
        raise body.invalid(key, REQUIRED)
    return query
