"""/custom_field/…/ and /custom_field_schema/lead/."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select
from starlette.routing import Route

from deployments.sandbox.api.rows import page_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.objects.labels import row_json
from deployments.sandbox.objects.write_leads import stamps
from deployments.sandbox.wire.errors import REQUIRED, NotFound
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now

fields = schema.custom_fields
FIELD_TYPES = (
    *("text", "textarea", "number", "date", "datetime", "choices", "user", "contact", "custom_object", "hidden"),
)
CUSTOM_FIELD_OWNERS = ("lead", "contact", "opportunity")
MULTIPLE = ("choices", "user", "contact", "custom_object")


def _field_json(row: Row[Any], organization_id: str) -> JsonObject:
    beside: JsonObject = {"is_shared": False, "editable_with_roles": [], "description": None}
    return row_json(fields, row, organization_id, without=("object_type",)) | beside


def list_fields(request: ApiRequest, object_type: str) -> JsonObject:
    """The custom fields of leads, contacts or opportunities."""
    with request.store.reading() as connection:
        query = select(fields).where(fields.c.object_type == object_type).order_by(fields.c.pk)
        organization_id = request.organization.id
        return page_of(request, connection, query, lambda rows: [_field_json(row, organization_id) for row in rows])


def add_field(request: ApiRequest, object_type: str) -> JsonObject:
    """Add a custom field."""
    request.require("manage_customizations", "change custom fields")
    body = request.body
    kind = body.choice("type", FIELD_TYPES, "")
    if not kind:
        raise body.invalid("type", REQUIRED)
    many = body.boolean("accepts_multiple_values", False)
    if many and kind not in MULTIPLE:
        raise body.invalid("accepts_multiple_values", "This type can't have multiple values.")
    values = {
        "id": new_id("cf"),
        "object_type": object_type,
        "name": body.required_text("name"),
        "type": kind,
        "choices": body.texts("choices") or None,
        "accepts_multiple_values": many,
        **stamps(request.user.id, now()),
    }
    with request.store.writing() as connection:
        row = connection.execute(insert(fields).values(values).returning(fields)).one()
    return _field_json(row, request.organization.id)


def fields_of(request: ApiRequest, object_type: str) -> list[Json]:
    """Every custom field of leads, contacts or opportunities."""
    query = select(fields).where(fields.c.object_type == object_type).order_by(fields.c.pk)
    with request.store.reading() as connection:
        rows = connection.execute(query).all()
    return [_field_json(row, request.organization.id) for row in rows]


def _fields_route(object_type: str, path: str = "/custom_field/") -> Route:
    return route(
        f"{path}{object_type}/",
        *PAGING,
        GET=lambda request: list_fields(request, object_type),
        POST=lambda request: add_field(request, object_type),
    )


def field_schema(request: ApiRequest) -> JsonObject:
    """The custom fields of leads in the order the user interface shows them."""
    if request.ids["object_type"] != "lead":
        raise NotFound("Custom field schema")
    return {"object_type": "lead", "fields": fields_of(request, "lead")}


ROUTES = (
    *map(_fields_route, CUSTOM_FIELD_OWNERS),
    _fields_route("lead", "/custom_fields/"),  # its former name, which a Singer tap still reads
    route("/custom_field_schema/{object_type}/", GET=field_schema),
)
