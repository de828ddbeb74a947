"""/bulk_action/delete/: start, read, pause and resume bulk deletes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from deployments.sandbox.api.rows import find, page_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.jobs import bulk_deletes
from deployments.sandbox.query.search import EVERY_LEAD, prepare_search
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import REQUIRED, ApiError, Invalid
from deployments.sandbox.wire.json_types import Json, JsonObject

jobs = schema.bulk_deletes


def start(request: ApiRequest) -> JsonObject:
    """Start a bulk delete. The query is validated now and matched while loading."""
    request.require("bulk_edit", "delete leads in bulk")
    query = request.body.object("s_query")
    if query is None or not query.data:
        if request.state.behaviour.missing_s_query == "refused":
            raise Invalid(REQUIRED, ("s_query",))
        query = Body(EVERY_LEAD, ("s_query",))
    sort = request.body.objects("sort")
    sent: list[Json] = [each.data for each in sort]
    settings: dict[str, Any] = {
        "s_query": query.data,
        "sort": sent,
        "results_limit": request.body.integer("results_limit", minimum=0),
        "send_done_email": request.body.boolean("send_done_email", True),
        "tz_offset_seconds": request.offset.total_seconds(),
    }
    with request.store.writing() as connection:
        found = prepare_search(connection, query, sort, request.query_context())
        if found.query.object_type != "lead":
            raise Invalid("Only leads can be deleted in bulk here.", ("s_query",))
        job = bulk_deletes.start(connection, request.state, request.cause, request.organization.id, settings)
    request.worker.wake()
    return bulk_deletes.job_json(job, request.organization.id)


def listing(request: ApiRequest) -> JsonObject:
    """The bulk deletes of the organisation."""
    order = {
        "newest_first": jobs.c.pk.desc(),
        "oldest_first": jobs.c.pk.asc(),
        "unordered": func.substr(jobs.c.id, 20),
    }[request.state.behaviour.bulk_delete_order]
    with request.store.reading() as connection:
        return page_of(
            request,
            connection,
            select(jobs).order_by(order),
            lambda rows: [bulk_deletes.job_json(row, request.organization.id) for row in rows],
        )


def _job(request: ApiRequest, connection: Connection) -> Row[Any]:
    return find(connection, jobs, request.ids["id"], "Bulk action")


def one(request: ApiRequest) -> JsonObject:
    """One bulk delete."""
    with request.store.reading() as connection:
        job = _job(request, connection)
    return bulk_deletes.job_json(job, request.organization.id)


def change(request: ApiRequest) -> JsonObject:
    """Pause or resume. Close doesn't document that it can; see `Behaviour.pause`."""
    pause = request.state.behaviour.pause
    if pause == "refused":
        raise ApiError(405, {"error": "The method is not allowed for the requested URL."})
    request.require("bulk_edit", "change bulk actions")
    wanted = request.body.required_text("status")
    if wanted not in ("paused", "resuming"):
        raise Invalid("Not a valid choice.", ("status",))
    with request.store.writing() as connection:
        job = _job(request, connection)
        if pause == "obeyed":
            job = bulk_deletes.set_status(connection, job, wanted, request.organization.id, request.cause)
    request.worker.wake()
    return bulk_deletes.job_json(job, request.organization.id)


ROUTES = (
    route("/bulk_action/delete/", *PAGING, GET=listing, POST=start),
    route("/bulk_action/delete/{id}/", GET=one, PUT=change),
)
