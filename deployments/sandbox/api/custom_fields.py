"""/custom_field/…/ and /custom_field_schema/lead/."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select
from starlette.routing import Route

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import Call, page_of
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.wire.errors import REQUIRED, NotFound
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import JsonObject
from deployments.sandbox.wire.moments import now, wire

fields = schema.custom_fields
FIELD_TYPES = (
    *("text", "textarea", "number", "date", "datetime", "choices", "user", "contact", "custom_object", "hidden"),
)
MULTIPLE = ("choices", "user", "contact", "custom_object")


def _field_json(row: Row[Any], organization_id: str) -> JsonObject:
    return {
        "id": row.id,
        "organization_id": organization_id,
        "name": row.name,
        "type": row.type,
        "choices": row.choices,
        "accepts_multiple_values": row.accepts_multiple_values,
        "is_shared": False,
        "editable_with_roles": [],
        "description": None,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "date_created": wire(row.date_created),
        "date_updated": wire(row.date_updated),
    }


def list_fields(call: Call, object_type: str) -> JsonObject:
    """The custom fields of leads, contacts or opportunities."""
    page = call.page()
    with call.store.reading() as connection:
        query = select(fields).where(fields.c.object_type == object_type).order_by(fields.c.pk)
        query = query.offset(page.skip).limit(page.limit + 1)
        rows = connection.execute(query).all()
    return page_of([select_fields(_field_json(row, call.organization.id), call.fields()) for row in rows], page)


def add_field(call: Call, object_type: str) -> JsonObject:
    """Add a custom field."""
    call.need("manage_customizations", "change custom fields")
    body = call.body
    kind = body.choice("type", FIELD_TYPES, "")
    if not kind:
        raise body.invalid("type", REQUIRED)
    many = body.boolean("accepts_multiple_values", False)
    if many and kind not in MULTIPLE:
        raise body.invalid("accepts_multiple_values", "This type can't have multiple values.")
    at = now()
    values = {
        "id": new_id("cf"),
        "object_type": object_type,
        "name": body.required_text("name"),
        "type": kind,
        "choices": body.texts("choices") or None,
        "accepts_multiple_values": many,
        "created_by": call.user.id,
        "updated_by": call.user.id,
        "date_created": at,
        "date_updated": at,
    }
    with call.store.writing() as connection:
        row = connection.execute(insert(fields).values(values).returning(fields)).one()
    return _field_json(row, call.organization.id)


def _fields_route(object_type: str) -> Route:
    return route(
        f"/custom_field/{object_type}/",
        GET=lambda call: list_fields(call, object_type),
        POST=lambda call: add_field(call, object_type),
    )


def field_schema(call: Call) -> JsonObject:
    """The custom fields of leads in the order the user interface shows them."""
    if call.ids["object_type"] != "lead":
        raise NotFound("Custom field schema")
    with call.store.reading() as connection:
        query = select(fields).where(fields.c.object_type == "lead").order_by(fields.c.pk)
        rows = connection.execute(query).all()
    return {"object_type": "lead", "fields": [_field_json(row, call.organization.id) for row in rows]}


ROUTES = (
    *map(_fields_route, ("lead", "contact", "opportunity")),
    route("/custom_field_schema/{object_type}/", GET=field_schema),
)
