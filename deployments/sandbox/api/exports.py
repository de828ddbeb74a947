"""/export/: copies of leads to download."""

from __future__ import annotations

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import Call, page_of
from deployments.sandbox.http.routes import route
from deployments.sandbox.jobs import exports
from deployments.sandbox.objects.serialize_leads import select_fields
from deployments.sandbox.query.search import EVERY_LEAD, prepare
from deployments.sandbox.state import State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import URL_NOT_FOUND, ApiError, Invalid, NotFound
from deployments.sandbox.wire.json_types import JsonObject

files = schema.exports


def add_export(call: Call) -> JsonObject:
    """Start an export of leads; of all leads when there is no s_query."""
    call.need("export", "export leads")
    options = exports.read_options(call.body)
    with call.store.writing() as connection:
        query = call.body.object("s_query")
        checked = query if query and query.data else Body(EVERY_LEAD, ("s_query",))
        if prepare(connection, checked, call.body.objects("sort"), call.asker()).search.object_type != "lead":
            raise Invalid("Only leads can be exported here.", ("s_query",))
        export = exports.start(connection, call.cause, call.organization.id, options, call.offset)
    call.worker.wake()
    return exports.export_json(export, call.organization.id, call.state.base)


def list_exports(call: Call) -> JsonObject:
    """The exports, latest first."""
    page = call.page()
    with call.store.reading() as connection:
        rows = connection.execute(
            select(files).order_by(files.c.pk.desc()).offset(page.skip).limit(page.limit + 1)
        ).all()
    found = [exports.export_json(row, call.organization.id, call.state.base) for row in rows]
    return page_of([select_fields(each, call.fields()) for each in found], page)


def one_export(call: Call) -> JsonObject:
    """One export."""
    with call.store.reading() as connection:
        row = connection.execute(select(files).where(files.c.id == call.ids["id"])).one_or_none()
    if row is None:
        raise NotFound("Export")
    return select_fields(exports.export_json(row, call.organization.id, call.state.base), call.fields())


def _only_leads(_: Call) -> JsonObject:
    raise ApiError(400, {"error": "The sandbox exports leads only."})


async def _download(request: Request) -> Response:
    """The compressed file. No key is asked for, as with Close's signed addresses."""
    state: State = request.app.state.sandbox
    file = await run_in_threadpool(_file, state, request.path_params["id"])
    if file is None:
        return JSONResponse({"error": URL_NOT_FOUND}, 404)
    return Response(file, media_type="application/json", headers={"content-encoding": "gzip"})


def _file(state: State, export_id: str) -> bytes | None:
    for tenant in state.tenants:
        with tenant.store.reading() as connection:
            found = connection.scalars(select(files.c.file).where(files.c.id == export_id)).first()
        if found is not None:
            return found
    return None


ROUTES = (
    route("/export/", GET=list_exports),
    route("/export/lead/", GET=list_exports, POST=add_export),
    route("/export/opportunity/", POST=_only_leads),
    route("/export/{id}/", GET=one_export),
    route("/export/lead/{id}/", GET=one_export),
)
DOWNLOAD = Route("/download/{id}.json", _download)  # outside /api/v1
