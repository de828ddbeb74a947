"""/saved_search/: Smart Views."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from deployments.sandbox.api.filters import clauses, one_or_some
from deployments.sandbox.api.rows import find, page_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.labels import row_json
from deployments.sandbox.objects.write_leads import stamps
from deployments.sandbox.query.search import prepare_search
from deployments.sandbox.wire.errors import Invalid
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now

views = schema.saved_searches
VIEW_TYPES = (
    *("lead", "contact", "opportunity", "call", "email", "sms", "meeting", "note", "whatsapp_message"),
    *("custom_activity", "form_submission"),
)

FILTERS = one_or_some("type", views.c.type, VIEW_TYPES)


def _view_json(row: Row[Any], organization_id: str) -> JsonObject:
    beside: JsonObject = {"selected_fields": [], "shared_with": [], "sharing_settings": None}
    return row_json(views, row, organization_id, without=("created_by", "updated_by")) | beside


def list_views(request: ApiRequest) -> JsonObject:
    """The Smart Views for leads, or for the types asked for."""
    wanted = clauses(request, FILTERS) or [views.c.type == "lead"]
    with request.store.reading() as connection:
        query = select(views).where(*wanted).order_by(views.c.pk)
        organization_id = request.organization.id
        return page_of(request, connection, query, lambda rows: [_view_json(row, organization_id) for row in rows])


def _view(request: ApiRequest, connection: Connection) -> Row[Any]:
    return find(connection, views, request.ids["id"], "Smart View")


def one_view(request: ApiRequest) -> JsonObject:
    """One Smart View."""
    with request.store.reading() as connection:
        row = _view(request, connection)
    return _view_json(row, request.organization.id)


def _wrapper(request: ApiRequest, connection: Connection) -> JsonObject:
    """The validated s_query of a new or updated view."""
    wrapper = request.body.required_object("s_query")
    prepare_search(connection, wrapper.required_object("query"), wrapper.objects("sort"), request.query_context())
    wrapper.integer("results_limit", minimum=0)
    return {"results_limit": None, "sort": [], **wrapper.data}


def _depends_on_user(node: Json) -> bool:
    if isinstance(node, list):
        return any(_depends_on_user(each) for each in node)
    if isinstance(node, dict):
        return node.get("type") == "current_user" or any(_depends_on_user(each) for each in node.values())
    return node == "CURRENT_USER"


def _has_object_type(node: Json) -> bool:
    if not isinstance(node, dict):
        return False
    below = node.get("queries")
    return node.get("type") == "object_type" or (isinstance(below, list) and any(map(_has_object_type, below)))


def add_view(request: ApiRequest) -> JsonObject:
    """Save a search. Its query must name the object type."""
    with request.store.writing() as connection:
        s_query = _wrapper(request, connection)
        if not _has_object_type(s_query.get("query")):
            raise Invalid("The query must have an object_type clause.", ("s_query",))
        values = {
            "id": new_id("save"),
            "name": request.body.required_text("name"),
            "description": request.body.text("description"),
            "type": request.body.choice("type", VIEW_TYPES, "lead"),
            "s_query": s_query,
            "is_shared": request.body.boolean("is_shared", False),
            "is_user_dependent": _depends_on_user(s_query),
            "user_id": request.user.id,
            **stamps(request.user.id, now()),
        }
        row = connection.execute(insert(views).values(values).returning(views)).one()
    return _view_json(row, request.organization.id)


def change_view(request: ApiRequest) -> JsonObject:
    """Update the name, description or query of a Smart View."""
    changes: dict[str, Any] = {"date_updated": now(), "updated_by": request.user.id}
    with request.store.writing() as connection:
        row = _view(request, connection)
        if "name" in request.body:
            changes["name"] = request.body.required_text("name")
        if "description" in request.body:
            changes["description"] = request.body.text("description")
        if "s_query" in request.body:
            changes["s_query"] = _wrapper(request, connection)
            changes["is_user_dependent"] = _depends_on_user(changes["s_query"])
        row = connection.execute(update(views).where(views.c.pk == row.pk).values(changes).returning(views)).one()
    return _view_json(row, request.organization.id)


def delete_view(request: ApiRequest) -> JsonObject:
    """Delete a Smart View."""
    with request.store.writing() as connection:
        connection.execute(delete(views).where(views.c.pk == _view(request, connection).pk))
    return {}


ROUTES = (
    route("/saved_search/", *PAGING, *FILTERS, GET=list_views, POST=add_view),
    route("/saved_search/{id}/", GET=one_view, PUT=change_view, DELETE=delete_view),
)
