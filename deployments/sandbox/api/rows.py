"""Rows for responses: the one with an id, or a page of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from deployments.sandbox.http.request import ApiRequest
from deployments.sandbox.wire.errors import NotFound
from deployments.sandbox.wire.json_types import JsonObject


def find(connection: Connection, table: Table, id_: str, name: str, *conditions: ColumnElement[bool]) -> Row[Any]:
    """The row with this id. Raises NotFound for an object called *name*."""
    row = connection.execute(select(table).where(table.c.id == id_, *conditions)).one_or_none()
    if row is None:
        raise NotFound(name)
    return row


def page_of(
    request: ApiRequest,
    connection: Connection,
    query: Select[Any],
    serialize: Callable[[Sequence[Row[Any]]], list[JsonObject]],
) -> JsonObject:
    """The body for a list: the page of the *query* that the request asks for."""
    page = request.page()
    rows = connection.execute(query.offset(page.skip).limit(page.limit + 1)).all()
    return {"data": [*serialize(rows[: page.limit])], "has_more": len(rows) > page.limit}
