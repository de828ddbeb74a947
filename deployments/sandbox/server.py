"""The sandbox: a context manager that serves real HTTP from a thread."""

from __future__ import annotations

import socket
import threading
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deployments.sandbox.api import ROUTES, exports
from deployments.sandbox.control import routes
from deployments.sandbox.http.middleware import FaultMiddleware
from deployments.sandbox.http.protocol import AbortableProtocol
from deployments.sandbox.http.routes import PREFIX
from deployments.sandbox.jobs.worker import Worker
from deployments.sandbox.organization import SANDBOX
from deployments.sandbox.state import State
from deployments.sandbox.wire.errors import URL_NOT_FOUND

HOST = "127.0.0.1"
SHUTDOWN_TIMEOUT = 1  # seconds for open requests to finish when the sandbox stops


class PortInUse(Exception):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use: stop what listens there or choose another with --port")


class Sandbox:
    """A stand-in for Close on this machine, for as long as the ``with`` block lasts.

    Dates in the seed are relative to *now*; the server itself always uses the real clock. With a *database*, the
    organisation is kept in that file for the next time; without, in a temporary file. An *organization* of another name
    has another id. Raises PortInUse.
    """

    def __init__(
        self,
        *,
        leads: int = 1000,
        seed: int = 7,
        leads_per_second: float = 200,
        port: int = 0,
        database: str | Path | None = None,
        now: datetime | None = None,
        rate_limits: bool = True,
        organization: str = SANDBOX.name,
    ) -> None:
        self._socket = _listen(port)
        self.base = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.url = f"{self.base}{PREFIX}/"
        try:
            self.state = State(
                leads=leads,
                seed=seed,
                leads_per_second=leads_per_second,
                database=None if database is None else Path(database),
                now=now,
                rate_limits=rate_limits,
                organization=organization,
            )
        except BaseException:
            self._socket.close()
            raise
        self.state.base = self.base
        self._worker = Worker(self.state)
        self._server = uvicorn.Server(
            uvicorn.Config(
                build(self.state, self._worker),
                http=AbortableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="sandbox-server")

    def __enter__(self) -> Self:
        """Start serving. Returns once the server is up."""
        self._worker.start()
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and the worker, and remove a temporary database."""
        self._server.should_exit = True
        self._thread.join()
        self._worker.stop()
        self.state.close()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio sends small packets at once; without, each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise PortInUse(port) from None
    return listener


def build(state: State, worker: Worker) -> FaultMiddleware:
    """The application: the API, the control plane, downloads, and a health check."""
    app = Starlette(
        routes=[Mount(PREFIX, routes=ROUTES), *routes.routes(), exports.DOWNLOAD, Route("/healthz", _health)],
        exception_handlers={HTTPException: _http_error},
    )
    app.state.sandbox, app.state.worker = state, worker
    return FaultMiddleware(app, state)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": URL_NOT_FOUND if error.status_code == 404 else error.detail}, error.status_code)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})
