"""Routes that turn HTTP requests into ApiRequests, and results and errors of handlers into responses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.http.request import CURSOR, FIELDS, ApiRequest
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.objects.serialize_leads import ALL, select_fields
from deployments.sandbox.state import Member, State
from deployments.sandbox.switches.rate_limits import RateLimit, RateLimited
from deployments.sandbox.wire.body import Body, check_storable
from deployments.sandbox.wire.errors import REQUIRED, ApiError, Invalid, Unauthorized
from deployments.sandbox.wire.ids import SHORT, new_id
from deployments.sandbox.wire.json_types import Json, JsonObject

Handler: TypeAlias = Callable[[ApiRequest], JsonObject]
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
PREFIX = "/api/v1"
LARGEST_OFFSET = 14  # hours; the largest offset from UTC on earth


def route(path: str, *parameters: str, **handlers: Handler) -> Route:
    """A route for a *path* below /api/v1, with a handler per method (``GET=…``).

    GET takes these query *parameters*; every method takes `_fields`. Others are refused by name, never ignored.
    """
    return Route(path, _endpoint(parameters, handlers), methods=METHODS)


def _endpoint(parameters: Iterable[str], handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answer, request, body, parameters, handlers)

    return endpoint


def _answer(request: Request, raw: bytes, parameters: Iterable[str], handlers: Mapping[str, Handler]) -> Response:
    state: State = request.app.state.sandbox
    rate_limit: RateLimit | None = None
    try:
        member = _member(request, state)
        method, path = request.method, request.url.path.removeprefix(PREFIX)
        body = _body(request, raw)
        query = request.query_params.multi_items()
        if method == "POST" and request.headers.get("x-http-method-override", "").upper() == "GET":
            method, query, body = "GET", [*_overridden(body).items()], Body({})
        rate_limit = state.limits.count(member.key, member.tenant.organization.id, method, path)
        handler = handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise ApiError(405, {"error": "The method is not allowed for the requested URL."})
        found = _parameters(query, (FIELDS, *parameters) if method in ("GET", "HEAD") else (FIELDS,))
        worker: Worker = request.app.state.worker
        offset = _offset(request.headers.get("x-tz-offset"))
        ids: dict[str, str] = dict(request.path_params)
        request_id = new_id("req", SHORT)
        api_request = ApiRequest(state, worker, member, method, path, ids, found, body, offset, request_id)
        response = JSONResponse(_selected(handler(api_request), api_request.fields()))
    except ApiError as error:
        if isinstance(error, RateLimited):
            rate_limit = error.rate_limit
        response = JSONResponse(error.body, error.status, error.headers)
    if rate_limit is not None:
        response.headers["RateLimit"] = rate_limit.header(state.limits.settings.separator)
    return response


def _parameters(query: Sequence[tuple[str, str]], known: Collection[str]) -> dict[str, str]:
    """The query parameters. Raises Invalid for what a guess could get wrong: an unknown, empty or repeated one."""
    found: dict[str, str] = {}
    for name, value in query:
        if name not in known:
            raise Invalid(f"The sandbox doesn't know this parameter, only {', '.join(sorted(known))}.", (name,))
        if name in found:
            raise Invalid("The sandbox takes a parameter once: separate several values with commas.", (name,))
        if not value and name != CURSOR:
            raise Invalid(REQUIRED, (name,))
        found[name] = value
    return found


def _selected(found: JsonObject, fields: Collection[str] | None) -> JsonObject:
    """The fields that `_fields` asks for, of the object or of each row of the list."""
    if fields is None or ALL in fields:
        return found
    rows = found.get("data")
    if not isinstance(rows, list):
        return select_fields(found, fields)
    return {**found, "data": [select_fields(row, fields) if isinstance(row, dict) else row for row in rows]}


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
        check_storable(data)
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
