"""/saved_search/: Smart Views."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import Call, page_of
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.query.search import prepare
from deployments.sandbox.wire.errors import Invalid, NotFound
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now, wire

views = schema.saved_searches
VIEW_TYPES = (
    *("lead", "contact", "opportunity", "call", "email", "sms", "meeting", "note", "whatsapp_message"),
    *("custom_activity", "form_submission"),
)


def _view_json(row: Row[Any], organization_id: str) -> JsonObject:
    return {
        "id": row.id,
        "organization_id": organization_id,
        "name": row.name,
        "description": row.description,
        "type": row.type,
        "query": row.query,
        "s_query": row.s_query,
        "is_shared": row.is_shared,
        "is_user_dependent": row.is_user_dependent,
        "user_id": row.user_id,
        "selected_fields": [],
        "shared_with": [],
        "sharing_settings": None,
        "date_created": wire(row.date_created),
        "date_updated": wire(row.date_updated),
    }


def list_views(call: Call) -> JsonObject:
    """The Smart Views for leads, or for the types asked for."""
    page = call.page()
    wanted = call.query.get("type__in", call.query.get("type", "lead")).split(",")
    with call.store.reading() as connection:
        query = select(views).where(views.c.type.in_(wanted)).order_by(views.c.pk)
        rows = connection.execute(query.offset(page.skip).limit(page.limit + 1)).all()
    return page_of([select_fields(_view_json(row, call.organization.id), call.fields()) for row in rows], page)


def _view(call: Call, connection: Connection) -> Row[Any]:
    row = connection.execute(select(views).where(views.c.id == call.ids["id"])).one_or_none()
    if row is None:
        raise NotFound("Smart View")
    return row


def one_view(call: Call) -> JsonObject:
    """One Smart View."""
    with call.store.reading() as connection:
        row = _view(call, connection)
    return select_fields(_view_json(row, call.organization.id), call.fields())


def _wrapper(call: Call, connection: Connection) -> JsonObject:
    """The s_query of a new or changed view, checked."""
    wrapper = call.body.required_object("s_query")
    prepare(connection, wrapper.required_object("query"), wrapper.objects("sort"), call.asker())
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


def add_view(call: Call) -> JsonObject:
    """Save a search. Its query must name the object type."""
    at = now()
    with call.store.writing() as connection:
        s_query = _wrapper(call, connection)
        if not _has_object_type(s_query.get("query")):
            raise Invalid("The query must have an object_type clause.", ("s_query",))
        values = {
            "id": new_id("save"),
            "name": call.body.required_text("name"),
            "description": call.body.text("description"),
            "type": call.body.choice("type", VIEW_TYPES, "lead"),
            "s_query": s_query,
            "is_shared": call.body.boolean("is_shared", False),
            "is_user_dependent": _depends_on_user(s_query),
            "user_id": call.user.id,
            "created_by": call.user.id,
            "updated_by": call.user.id,
            "date_created": at,
            "date_updated": at,
        }
        row = connection.execute(insert(views).values(values).returning(views)).one()
    return _view_json(row, call.organization.id)


def change_view(call: Call) -> JsonObject:
    """Rename a Smart View, or give it another query."""
    changes: dict[str, Any] = {"date_updated": now(), "updated_by": call.user.id}
    with call.store.writing() as connection:
        row = _view(call, connection)
        if "name" in call.body:
            changes["name"] = call.body.required_text("name")
        if "description" in call.body:
            changes["description"] = call.body.text("description")
        if "s_query" in call.body:
            changes["s_query"] = _wrapper(call, connection)
            changes["is_user_dependent"] = _depends_on_user(changes["s_query"])
        row = connection.execute(update(views).where(views.c.pk == row.pk).values(changes).returning(views)).one()
    return _view_json(row, call.organization.id)


def delete_view(call: Call) -> JsonObject:
    """Delete a Smart View."""
    with call.store.writing() as connection:
        connection.execute(delete(views).where(views.c.pk == _view(call, connection).pk))
    return {}


ROUTES = (
    route("/saved_search/", GET=list_views, POST=add_view),
    route("/saved_search/{id}/", GET=one_view, PUT=change_view, DELETE=delete_view),
)
