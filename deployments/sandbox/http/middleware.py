"""Middleware for /api/v1: injects the planned faults and writes each request to the journal."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.sandbox.database import schema
from deployments.sandbox.http.protocol import ABORT
from deployments.sandbox.http.routes import PREFIX
from deployments.sandbox.state import State
from deployments.sandbox.switches.faults import Fault
from deployments.sandbox.switches.rate_limits import RateLimit, RateLimited

GARBAGE = b"<!doctype html><html><body><h1>Something is between you and Close</h1></body></html>"


class BufferedResponse:
    """A response that is held back until the journal has it."""

    def __init__(self, status: int = 500, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers or []
        self.body = body

    async def capture(self, message: Message) -> None:
        """Collect a message: the `send` of the wrapped application."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")

    async def send(self, send: Send) -> None:
        """Send the response to the client."""
        headers = [(name, value) for name, value in self.headers if name != b"content-length"]
        headers += [(b"content-length", str(len(self.body)).encode()), (b"trace-id", uuid.uuid4().hex.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class FaultMiddleware:
    """Wraps the API; requests outside /api/v1 pass through."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, or abort its connection."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        method, path, at = scope["method"], path.removeprefix(PREFIX), datetime.now(UTC)
        fault = self._state.faults.next(method, path)
        response = await self._respond(fault, scope, receive)
        await run_in_threadpool(self._write_to_journal, method, path, response.status if response else None, at)
        await asyncio.sleep(fault.delay_seconds if fault else 0)
        if response is None:
            abort: Callable[[], None] = scope["extensions"][ABORT]
            abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await response.send(send)

    async def _respond(self, fault: Fault | None, scope: Scope, receive: Receive) -> BufferedResponse | None:
        """Returns the response after *fault*, or None to send none."""
        kind = fault.fault if fault else None
        if fault is None or kind in ("drop_after", "delay", "garbage", "truncate", "edit"):
            if fault and fault.before:
                receive = await _buffered(receive)
                await asyncio.sleep(fault.seconds_or(1))
            response = BufferedResponse()
            await self._app(scope, receive, response.capture)
        else:
            response = BufferedResponse(fault.status or 500, *_json({"error": "A planned fault of the sandbox."}))
        if fault is None:
            return response
        if kind in ("drop_before", "drop_after"):
            return None
        if kind == "edit":
            response.body = _edited(response.body, fault)
        elif kind == "garbage":
            return BufferedResponse(fault.status or 200, [(b"content-type", b"text/html")], GARBAGE)
        elif kind == "truncate":
            response.body = response.body[: len(response.body) // 2]
        elif kind == "rate_limit":
            return _rate_limited(fault, self._state.limits.settings.separator)
        return response

    def _write_to_journal(self, method: str, path: str, status: int | None, at: datetime) -> None:
        with self._state.main.store.writing() as connection:
            entry = {"method": method, "path": path, "status": status, "at": at}
            connection.execute(insert(schema.journal).values(entry))


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


def _json(body: object) -> tuple[list[tuple[bytes, bytes]], bytes]:
    return [(b"content-type", b"application/json")], json.dumps(body).encode()


def _rate_limited(fault: Fault, separator: str) -> BufferedResponse:
    error = RateLimited(RateLimit(1, 0, fault.seconds_or(0.2)))
    headers, body = _json(error.body)
    headers.append((b"ratelimit", error.rate_limit.header(separator).encode()))
    headers.append((b"retry-after", str(error.retry_after).encode()))
    return BufferedResponse(error.status, headers, body)
