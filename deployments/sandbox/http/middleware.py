"""Middleware for /api/v1: injects the planned faults and writes each request to the journal."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.sandbox.database import schema
from deployments.sandbox.http.protocol import ABORT
from deployments.sandbox.http.routes import PREFIX
from deployments.sandbox.state import State
from deployments.sandbox.switches.faults import Fault
from deployments.sandbox.switches.rate_limits import RateLimit, RateLimited

SLASHES = re.compile("//+")  # clients join an address and a path that both have one
GARBAGE = b"<!doctype html><html><body><h1>Something is between you and Close</h1></body></html>"


class FaultMiddleware:
    """Wraps the API; requests outside /api/v1 pass through."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, or abort its connection."""
        path = SLASHES.sub("/", scope.get("path", ""))
        scope = {**scope, "path": path}
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        method, path, at = scope["method"], path.removeprefix(PREFIX), datetime.now(UTC)
        fault = self._state.faults.next(method, path)
        response = await self._respond(fault, scope, receive)
        status = response.status_code if response else None
        await run_in_threadpool(self._write_to_journal, method, path, status, at)
        await asyncio.sleep(fault.delay_seconds if fault else 0)
        if response is None:
            abort: Callable[[], None] = scope["extensions"][ABORT]
            abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        response.headers["content-length"] = str(len(response.body))
        response.headers["trace-id"] = uuid.uuid4().hex
        await response(scope, receive, send)

    async def _respond(self, fault: Fault | None, scope: Scope, receive: Receive) -> Response | None:
        """Returns the response after *fault*, or None to send none."""
        if fault and fault.fault in ("status", "drop_before", "rate_limit"):
            return _without_effect(fault, self._state.limits.settings.separator)
        if fault and fault.before:
            receive = await _buffered(receive)
            await asyncio.sleep(fault.seconds_or(1))
        response = await _captured(self._app, scope, receive)
        if fault is None:
            return response
        match fault.fault:
            case "drop_after":
                return None
            case "garbage":
                return Response(GARBAGE, fault.status or 200, {"content-type": "text/html"})
            case "edit":
                response.body = _edited(bytes(response.body), fault)
            case "truncate":
                response.body = response.body[: len(response.body) // 2]
            case _:
                pass
        return response

    def _write_to_journal(self, method: str, path: str, status: int | None, at: datetime) -> None:
        with self._state.main.store.writing() as connection:
            entry = {"method": method, "path": path, "status": status, "at": at}
            connection.execute(insert(schema.journal), entry)


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """The response of *app*, held back until the journal has it."""
    response, parts = Response(), list[bytes]()

    async def capture(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status_code, response.raw_headers = message["status"], list(message.get("headers", ()))
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, capture)
    response.body = b"".join(parts)
    return response


def _edited(body: bytes, fault: Fault) -> bytes:
    answer: dict[str, Any] = json.loads(body)
    rows: list[dict[str, Any]] | None = answer.get("data")
    for name, value in fault.fields.items():
        for each in [answer] if rows is None or name in answer else rows:
            each[name] = value
    for each in (answer, *(rows or [])):
        for name in fault.omit:
            each.pop(name, None)
    return json.dumps(answer).encode()


async def _buffered(receive: Receive) -> Receive:
    """Read the whole request and return a `receive` that replays it, even if the client disconnects meanwhile."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def replay() -> Message:
        return next(waiting, None) or await receive()

    return replay


def _without_effect(fault: Fault, separator: str) -> Response | None:
    if fault.fault == "drop_before":
        return None
    if fault.fault == "status":
        return JSONResponse({"error": "A planned fault of the sandbox."}, fault.status or 500)
    error = RateLimited(RateLimit(1, 0, fault.seconds_or(0.2)))
    headers = {**(error.headers or {}), "ratelimit": error.rate_limit.header(separator)}
    return JSONResponse(error.body, error.status, headers)
