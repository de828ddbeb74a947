"""From an HTTP request to a Call, through a handler, to an HTTP answer: keys, limits, bodies, errors."""

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

from deployments.sandbox.http.request import Call
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.state import Member, State
from deployments.sandbox.switches.rate_limits import RateLimited, Standing
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import ApiError, Invalid, Unauthorized
from deployments.sandbox.wire.ids import SHORT, new_id
from deployments.sandbox.wire.json_types import Json, JsonObject

Handler: TypeAlias = Callable[[Call], JsonObject]
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
PREFIX = "/api/v1"
LARGEST_OFFSET = 14  # hours; no place on earth is further from UTC


def route(path: str, **handlers: Handler) -> Route:
    """What to do for each method (``GET=…``) on a *path* below /api/v1."""
    return Route(path, _endpoint(handlers), methods=METHODS)


def _endpoint(handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answer, request, body, handlers)

    return endpoint


def _answer(request: Request, raw: bytes, handlers: Mapping[str, Handler]) -> Response:
    state: State = request.app.state.sandbox
    standing: Standing | None = None
    try:
        member = _member(request, state)
        method, path = request.method, request.url.path.removeprefix(PREFIX)
        body = _body(request, raw)
        query: dict[str, str] = dict(request.query_params)
        if method == "POST" and request.headers.get("x-http-method-override", "").upper() == "GET":
            method, query, body = "GET", _overridden(body), Body({})
        standing = state.limits.take(member.key, member.tenant.organization.id, method, path)
        handler = handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise ApiError(405, {"error": "The method is not allowed for the requested URL."})
        worker: Worker = request.app.state.worker
        offset = _offset(request.headers.get("x-tz-offset"))
        ids: dict[str, str] = dict(request.path_params)
        request_id = new_id("req", SHORT)
        call = Call(state, worker, member, method, path, ids, query, body, offset, request_id)
        response = JSONResponse(handler(call))
    except RateLimited as error:
        standing = error.standing
        response = JSONResponse(error.body, error.status, {"retry-after": str(error.retry_after)})
    except ApiError as error:
        response = JSONResponse(error.body, error.status)
    if standing is not None:
        response.headers["RateLimit"] = standing.header(state.limits.settings.separator)
    return response


def _member(request: Request, state: State) -> Member:
    """Whose key or token the request carries. Raises Unauthorized."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    member = None
    if scheme.lower() == "bearer":
        member = state.of_token(credentials.strip())
    elif scheme.lower() == "basic":
        try:
            key, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized from None
        member = None if password else state.of_key(key)
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
    """The query parameters of a GET that was sent as a POST, for being too long."""
    params = body.object("_params")
    found: dict[str, str] = {}
    for key, value in (params.data if params else {}).items():
        found[key] = ",".join(str(each) for each in value) if isinstance(value, list) else str(value)
    return found


def _offset(text: str | None) -> timedelta:
    """The caller's distance from UTC, in hours, from `x-tz-offset`; UTC without it."""
    try:
        hours = float(text or 0)
    except ValueError:
        hours = LARGEST_OFFSET + 1.0
    if not -LARGEST_OFFSET <= hours <= LARGEST_OFFSET:
        raise Invalid(f'X-TZ-Offset must be a number of hours (got "{text}" instead).')
    return timedelta(hours=hours)
