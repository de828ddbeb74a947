"""/export/: export leads to a file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.api.rows import find, page_of
from deployments.sandbox.database import schema
from deployments.sandbox.http.request import PAGING, ApiRequest
from deployments.sandbox.http.routes import route
from deployments.sandbox.jobs import exports
from deployments.sandbox.query.search import EVERY_LEAD, prepare_search
from deployments.sandbox.state import State
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import URL_NOT_FOUND, ApiError, Invalid
from deployments.sandbox.wire.json_types import JsonObject

files = schema.exports


def add_export(request: ApiRequest) -> JsonObject:
    """Start an export of leads: of all leads without an s_query."""
    request.require("export", "export leads")
    options = exports.read_options(request.body)
    with request.store.writing() as connection:
        query = request.body.object("s_query")
        checked = query if query and query.data else Body(EVERY_LEAD, ("s_query",))
        search = prepare_search(connection, checked, request.body.objects("sort"), request.query_context())
        if search.query.object_type != "lead":
            raise Invalid("Only leads can be exported here.", ("s_query",))
        export = exports.start(connection, request.cause, request.organization.id, options, request.offset)
    request.worker.wake()
    return _shown(request, export)


def list_exports(request: ApiRequest) -> JsonObject:
    """The exports, newest first."""
    with request.store.reading() as connection:
        query = select(files).order_by(files.c.pk.desc())
        return page_of(request, connection, query, lambda rows: [_shown(request, row) for row in rows])


def _shown(request: ApiRequest, row: Row[Any]) -> JsonObject:
    return exports.export_json(row, request.organization.id, request.state.base)


def one_export(request: ApiRequest) -> JsonObject:
    """One export."""
    with request.store.reading() as connection:
        row = find(connection, files, request.ids["id"], "Export")
    return _shown(request, row)


def _only_leads(_: ApiRequest) -> JsonObject:
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
    route("/export/", *PAGING, GET=list_exports),
    route("/export/lead/", *PAGING, GET=list_exports, POST=add_export),
    route("/export/opportunity/", POST=_only_leads),
    route("/export/{id}/", GET=one_export),
    route("/export/lead/{id}/", GET=one_export),
)
DOWNLOAD = Route("/download/{id}.json", _download)  # outside /api/v1
