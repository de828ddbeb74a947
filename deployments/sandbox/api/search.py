"""POST /data/search/: Advanced Filtering, with counts and cursors that expire."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from deployments.sandbox.http.request import ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.labels import read_labels
from deployments.sandbox.objects.serialize_leads import ALL, children_json, leads_json, select_fields
from deployments.sandbox.query.compiler import TABLES
from deployments.sandbox.query.search import Search, prepare_search, required_query
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import microseconds, now

LAST_POSITION = 10_000  # paging with a cursor ends here
DEFAULT_LIMIT = 100
MOST_FIELDS = 100  # a guess: 48 are accepted in production, 111 aren't


def search(request: ApiRequest) -> JsonObject:
    """One page of a search."""
    body = request.body
    query, sort = required_query(body, "query"), body.objects("sort")
    results_limit = body.integer("results_limit", minimum=0)
    most = request.state.behaviour.search_page_limit
    wanted = body.integer("_limit", minimum=0)
    if wanted is not None and wanted > most:
        raise Invalid(f"The value must not be larger than {most}.", ("_limit",))
    fields = _fields(body)
    if request.state.behaviour.numbers_in_search == "refused" and any(
        name.startswith("num_") for name in fields.get("lead", ())
    ):
        raise Invalid("Unknown field.", ("_fields",))
    digest = _digest(body)
    position = _position(body, digest)
    end = LAST_POSITION if results_limit is None else min(results_limit, LAST_POSITION)
    limit = max(0, min(DEFAULT_LIMIT if wanted is None else wanted, end - position))
    with request.store.reading() as connection:
        found = prepare_search(connection, query, sort, request.query_context())
        rows: Sequence[Row[Any]] = ()
        if limit:
            rows = connection.execute(found.rows(skip=position, limit=limit + 1)).all()
        data = _shown(request, connection, found, rows[:limit], fields.get(found.query.object_type))
        reached = position + len(data)
        answer: JsonObject = {"data": [*data], "cursor": None}
        if len(rows) > limit and reached < end:
            answer["cursor"] = _cursor(digest, reached, request.state.behaviour.cursor_seconds)
        if body.boolean("include_counts", False):
            total = found.count(connection)
            answer["count"] = {"limited": total if results_limit is None else min(total, results_limit), "total": total}
    return answer


def _fields(body: Body) -> dict[str, list[str]]:
    wanted = body.object("_fields")
    found: dict[str, list[str]] = {}
    for object_type in wanted.data if wanted else ():
        assert wanted is not None
        found[object_type] = wanted.texts(object_type)
        if len(found[object_type]) > MOST_FIELDS:
            raise wanted.invalid(object_type, "List is too long.")
    return found


def _shown(
    request: ApiRequest, connection: Connection, found: Search, rows: Sequence[Row[Any]], fields: list[str] | None
) -> list[JsonObject]:
    object_type = found.query.object_type
    objects: list[JsonObject] = [{"id": row.id} for row in rows]
    if fields or object_type != "lead":
        objects = _objects(request, connection, object_type, rows, fields or ())
    if object_type == "lead" and request.state.behaviour.numbers_in_search == "hidden":
        objects = [{key: value for key, value in each.items() if not key.startswith("num_")} for each in objects]
    wanted = ["id", *(fields or ())]
    if object_type != "lead":
        wanted.append("lead_id")
    if "custom" in wanted and objects:
        wanted += sorted({key for each in objects for key in each if key.startswith("custom.")})
    kind: JsonObject = {"__object_type": object_type}
    return [{**kind, **select_fields(each, None if ALL in wanted else wanted)} for each in objects]


def _objects(
    request: ApiRequest, connection: Connection, object_type: str, rows: Sequence[Row[Any]], fields: Sequence[str]
) -> list[JsonObject]:
    labels = read_labels(connection, request.organization)
    if object_type == "lead":
        return leads_json(connection, rows, labels, fields)
    return children_json(connection, TABLES[object_type], rows, labels)


def _digest(body: Body) -> str:
    """A hash of the request without its cursor and page size, which the cursor is bound to."""
    same = body.without(("cursor", "_limit"))
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:20]


def _cursor(digest: str, position: int, seconds: float) -> str:
    """A cursor for the next page. It holds its own state, so that the sandbox has none to keep."""
    parts = [digest, position, microseconds(now() + timedelta(seconds=seconds))]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _position(body: Body, digest: str) -> int:
    cursor = body.text("cursor")
    if cursor is None:
        return 0
    try:
        bound, position, expires = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):  # no base64, no JSON, or no list
        raise Invalid("Invalid cursor.", ("cursor",)) from None
    if bound != digest:
        raise Invalid("The cursor belongs to another query.", ("cursor",))
    if microseconds(now()) > expires:
        raise Invalid("The cursor has expired.", ("cursor",))
    return int(position)


ROUTES = (route("/data/search/", POST=search),)
