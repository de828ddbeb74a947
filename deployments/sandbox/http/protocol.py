"""An HTTP protocol for uvicorn whose connections can be aborted."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CUT = "sandbox.cut"


class Protocol(H11Protocol):
    """HTTP/1.1 whose connection the application can cut without an answer: ``scope["extensions"][CUT]()``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Give the application the means to cut this connection."""
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[CUT] = transport.abort
            await inner(scope, receive, send)  # type: ignore[arg-type]  # uvicorn's and Starlette's names for one thing

        self.app = app  # type: ignore[assignment]
