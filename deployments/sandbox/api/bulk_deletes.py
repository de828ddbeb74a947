"""/bulk_action/delete/: start bulk deletes, look at them, pause and resume them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import Call, page_of
from deployments.sandbox.http.routes import route
from deployments.sandbox.jobs import bulk_deletes
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.query.search import EVERY_LEAD, prepare
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import REQUIRED, ApiError, Invalid, NotFound
from deployments.sandbox.wire.json_types import Json, JsonObject

jobs = schema.bulk_deletes


def start(call: Call) -> JsonObject:
    """Start a bulk delete. The query is read now, for its errors; what it matches is decided while loading."""
    call.need("bulk_edit", "delete leads in bulk")
    query = call.body.object("s_query")
    if query is None or not query.data:
        if call.state.behaviour.missing_s_query == "refused":
            raise Invalid(REQUIRED, ("s_query",))
        query = Body(EVERY_LEAD, ("s_query",))
    sort = call.body.objects("sort")
    sent: list[Json] = [each.data for each in sort]
    request: dict[str, Any] = {
        "s_query": query.data,
        "sort": sent,
        "results_limit": call.body.integer("results_limit", minimum=0),
        "send_done_email": call.body.boolean("send_done_email", True),
        "offset": call.offset,
    }
    with call.store.writing() as connection:
        found = prepare(connection, query, sort, call.asker())
        if found.search.object_type != "lead":
            raise Invalid("Only leads can be deleted in bulk here.", ("s_query",))
        job = bulk_deletes.start(connection, call.state, call.cause, call.organization.id, request)
    call.worker.wake()
    return bulk_deletes.job_json(job, call.organization.id)


def listing(call: Call) -> JsonObject:
    """The bulk deletes of the organisation."""
    page = call.page()
    order = {
        "newest_first": jobs.c.pk.desc(),
        "oldest_first": jobs.c.pk.asc(),
        "unordered": func.substr(jobs.c.id, 20),
    }[call.state.behaviour.bulk_delete_order]
    with call.store.reading() as connection:
        rows = connection.execute(select(jobs).order_by(order).offset(page.skip).limit(page.limit + 1)).all()
    found = [bulk_deletes.job_json(row, call.organization.id) for row in rows]
    return page_of([select_fields(each, call.fields()) for each in found], page)


def _job(call: Call, connection: Connection) -> Row[Any]:
    job = connection.execute(select(jobs).where(jobs.c.id == call.ids["id"])).one_or_none()
    if job is None:
        raise NotFound("Bulk action")
    return job


def one(call: Call) -> JsonObject:
    """One bulk delete."""
    with call.store.reading() as connection:
        job = _job(call, connection)
    return select_fields(bulk_deletes.job_json(job, call.organization.id), call.fields())


def change(call: Call) -> JsonObject:
    """Pause or resume, if `Behaviour.pause` has Close obey: no documentation says that it does."""
    obedience = call.state.behaviour.pause
    if obedience == "refused":
        raise ApiError(405, {"error": "The method is not allowed for the requested URL."})
    call.need("bulk_edit", "change bulk actions")
    wanted = call.body.required_text("status")
    if wanted not in ("paused", "resuming"):
        raise Invalid("Not a valid choice.", ("status",))
    with call.store.writing() as connection:
        job = _job(call, connection)
        if obedience == "obeyed":
            job = bulk_deletes.set_status(connection, job, wanted, call.organization.id, call.cause)
    call.worker.wake()
    return bulk_deletes.job_json(job, call.organization.id)


ROUTES = (
    route("/bulk_action/delete/", GET=listing, POST=start),
    route("/bulk_action/delete/{id}/", GET=one, PUT=change),
)
