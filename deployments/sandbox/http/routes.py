"""Routes that turn HTTP requests into ApiRequests, and results and errors of handlers into responses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.http.request import ApiRequest
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.state import Member, State
from deployments.sandbox.switches.rate_limits import RateLimit, RateLimited
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import ApiError, Invalid, Unauthorized
from deployments.sandbox.wire.ids import SHORT, new_id
from deployments.sandbox.wire.json_types import Json, JsonObject

Handler: TypeAlias = Callable[[ApiRequest], JsonObject]
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
PREFIX = "/api/v1"
LARGEST_OFFSET = 14  # hours; the largest offset from UTC on earth


def route(path: str, **handlers: Handler) -> Route:
    """A route for a *path* below /api/v1, with a handler per method (``GET=…``)."""
    return Route(path, _endpoint(handlers), methods=METHODS)


def _endpoint(handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answer, request, body, handlers)

    return endpoint


def _answer(request: Request, raw: bytes, handlers: Mapping[str, Handler]) -> Response:
    state: State = request.app.state.sandbox
    rate_limit: RateLimit | None = None
    try:
        member = _member(request, state)
        method, path = request.method, request.url.path.removeprefix(PREFIX)
        body = _body(request, raw)
        query: dict[str, str] = dict(request.query_params)
        if method == "POST" and request.headers.get("x-http-method-override", "").upper() == "GET":
            method, query, body = "GET", _overridden(body), Body({})
        rate_limit = state.limits.count(member.key, member.tenant.organization.id, method, path)
        handler = handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise ApiError(405, {"error": "The method is not allowed for the requested URL."})
        worker: Worker = request.app.state.worker
        offset = _offset(request.headers.get("x-tz-offset"))
        ids: dict[str, str] = dict(request.path_params)
        request_id = new_id("req", SHORT)
        api_request = ApiRequest(state, worker, member, method, path, ids, query, body, offset, request_id)
        response = JSONResponse(handler(api_request))
    except ApiError as error:
        if isinstance(error, RateLimited):
            rate_limit = error.rate_limit
        response = JSONResponse(error.body, error.status, error.headers)
    if rate_limit is not None:
        response.headers["RateLimit"] = rate_limit.header(state.limits.settings.separator)
    return response


def _member(request: Request, state: State) -> Member:
    """The member whose key or token the request has. Raises Unauthorized."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    member = None
    if scheme.lower() == "bearer":
        member = state.member_by_token(credentials.strip())
    elif scheme.lower() == "basic":
        try:
            key, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized from None
        member = None if password else state.member_by_key(key)
    if member is None:
        raise Unauthorized
    return member


def _body(request: Request, raw: bytes) -> Body:
    if not raw or request.method in ("GET", "HEAD", "DELETE"):
        return Body({})
    if "json" not in request.headers.get("content-type", ""):
        raise Invalid("Send JSON, with the header Content-Type: application/json.")
    try:
        data: Json = json.loads(raw)
    except (ValueError, RecursionError):
        raise Invalid("The request contains invalid JSON.") from None
    if not isinstance(data, dict):
        raise Invalid("JSON data must be a dict.")
    return Body(data)


def _overridden(body: Body) -> dict[str, str]:
    """The query parameters of a GET that was sent as a POST because of its length."""
    params = body.object("_params")
    found: dict[str, str] = {}
    for key, value in (params.data if params else {}).items():
        found[key] = ",".join(str(each) for each in value) if isinstance(value, list) else str(value)
    return found


def _offset(text: str | None) -> timedelta:
    """The caller's offset from UTC, from the hours in `x-tz-offset`; 0 without it."""
    try:
        hours = float(text or 0)
    except ValueError:
        hours = LARGEST_OFFSET + 1.0
    if not -LARGEST_OFFSET <= hours <= LARGEST_OFFSET:
        raise Invalid(f'X-TZ-Offset must be a number of hours (got "{text}" instead).')
    return timedelta(hours=hours)
