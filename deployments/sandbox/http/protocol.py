"""A uvicorn protocol that lets the application abort a connection."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

ABORT = "sandbox.abort"


class AbortableProtocol(H11Protocol):
    """HTTP/1.1; ``scope["extensions"][ABORT]()`` closes the connection without a response."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Add the means to abort this connection to the scope."""
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            await inner(scope, receive, send)  # type: ignore[arg-type]  # uvicorn's and Starlette's names for one thing

        self.app = app  # type: ignore[assignment]
