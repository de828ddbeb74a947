"""The caller and the organisation: /me/, /user/, /organization/, /pipeline/, statuses."""

from __future__ import annotations

from operator import attrgetter

from sqlalchemy import select

from deployments.sandbox.api.custom_fields import CUSTOM_FIELD_OWNERS, fields_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.organization import OPPORTUNITY_STATUSES, PIPELINE_ID, Organization, User
from deployments.sandbox.wire.errors import Invalid, NotFound
from deployments.sandbox.wire.json_types import Json, JsonObject

USER_ORDERS = ("last_name,first_name", "first_name,last_name")
EXPANDED = ("memberships__user", "inactive_memberships__user")


def _user(user: User, organization: Organization) -> JsonObject:
    return {
        "id": user.id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image": None,
        "last_used_timezone": "UTC",
        "organizations": [organization.id],
        "date_created": "2020-01-01T00:00:00.000000+00:00",
        "date_updated": "2020-01-01T00:00:00.000000+00:00",
    }


def _membership(user: User, organization: Organization) -> JsonObject:
    return {
        "id": user.membership_id,
        "user_id": user.id,
        "organization_id": organization.id,
        "role_id": user.role_id,
        "permissions_granted": [*user.permissions],
    }


def me(request: ApiRequest) -> JsonObject:
    """The user the key belongs to, with the membership that decides what it may do."""
    organization: JsonObject = {"id": request.organization.id, "name": request.organization.name}
    found = _user(request.user, request.organization)
    membership = _membership(request.user, request.organization)
    return {**found, "organizations": [organization], "memberships": [membership]}


def users(request: ApiRequest) -> JsonObject:
    """The members of the organisation."""
    page, order = request.page(), request.query.get("_order_by")
    if order not in (None, *USER_ORDERS):
        raise Invalid("Not a valid choice.", ("_order_by",))
    members = request.organization.users
    if order:
        members = sorted(members, key=attrgetter(*order.split(",")))
    shown: list[Json] = [_user(each, request.organization) for each in members[page.skip :][: page.limit]]
    return {"data": shown, "has_more": page.skip + page.limit < len(members)}


def user(request: ApiRequest) -> JsonObject:
    """One member."""
    for each in request.organization.users:
        if each.id == request.ids["id"]:
            return _user(each, request.organization)
    raise NotFound("User")


def _pipelines(organization: Organization) -> list[Json]:
    statuses: list[Json] = [
        {"id": id_, "label": label, "type": kind} for id_, (label, kind) in OPPORTUNITY_STATUSES.items()
    ]
    pipeline: JsonObject = {
        "id": PIPELINE_ID,
        "name": "Sales",
        "organization_id": organization.id,
        "statuses": statuses,
    }
    return [pipeline]


def _lead_statuses(request: ApiRequest) -> list[Json]:
    statuses = schema.statuses
    with request.store.reading() as connection:
        rows = connection.execute(select(statuses).order_by(statuses.c.pk)).all()
    return [{"id": row.id, "label": row.label, "organization_id": request.organization.id} for row in rows]


def organization(request: ApiRequest) -> JsonObject:
    """The caller's organisation; any other doesn't exist for this key."""
    ours = request.organization
    if request.ids["id"] != ours.id:
        raise NotFound("Organization")
    expand = request.query.get("_expand", "").split(",")
    if not set(expand) <= {"", *EXPANDED}:
        raise Invalid(f"The sandbox expands {' and '.join(EXPANDED)} only.", ("_expand",))
    members: list[Json] = []
    for each in ours.users:
        shown = _user(each, ours)
        if "memberships__user" in expand:
            members.append({**_membership(each, ours), "user": shown})
        else:
            flat = {f"user_{key}": value for key, value in shown.items()}
            members.append({**_membership(each, ours), **flat, "user_full_name": each.name})
    return {
        "id": ours.id,
        "name": ours.name,
        "currency": "USD",
        "lead_statuses": _lead_statuses(request),
        "memberships": members,
        "inactive_memberships": [],
        "pipelines": _pipelines(ours),
        **{f"{kind}_custom_fields": fields_of(request, kind) for kind in CUSTOM_FIELD_OWNERS},
    }


def lead_statuses(request: ApiRequest) -> JsonObject:
    """Every lead status; new leads get the first."""
    return {"data": _lead_statuses(request), "has_more": False}


def opportunity_statuses(request: ApiRequest) -> JsonObject:
    """Every opportunity status."""
    ours = request.organization.id
    found: list[Json] = [
        {"id": id_, "label": label, "type": kind, "pipeline_id": PIPELINE_ID, "organization_id": ours}
        for id_, (label, kind) in OPPORTUNITY_STATUSES.items()
    ]
    return {"data": found, "has_more": False}


def pipelines(request: ApiRequest) -> JsonObject:
    """Every pipeline."""
    return {"data": _pipelines(request.organization), "has_more": False}


ROUTES = (
    route("/me/", GET=me),
    route("/user/", *PAGING, "_order_by", GET=users),
    route("/user/{id}/", GET=user),
    route("/organization/{id}/", "_expand", GET=organization),
    route("/status/lead/", GET=lead_statuses),
    route("/status/opportunity/", GET=opportunity_statuses),
    route("/pipeline/", GET=pipelines),
)
