"""A real HTTP server that answers what a test tells it to, and remembers what it was asked."""

import json
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

KEY = "api_0123456789abcdef.fedcba9876543210"


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@dataclass(frozen=True)
class Answer:
    """What goes back. `cut` sends only so many bytes of the body; `hang_up` sends nothing at all."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut: int | None = None
    hang_up: bool = False
    after: float = 0.0  # seconds

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: Any
    connection: int  # the other side's port: the same for requests over one connection


class ScriptedClose:
    """Use as a context manager. Answers in the order of `will_answer`, then with 418."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: deque[Answer] = deque()
        self._release = threading.Event()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

            def do_GET(self) -> None:
                script.answer(self)

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def will_answer(self, *answers: Answer) -> None:
        self._answers.extend(answers)

    @property
    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(_read(handler))
        answer = self._answers.popleft() if self._answers else Answer({"error": "no answer left"}, 418)
        self._release.wait(answer.after)
        if answer.hang_up or self._release.is_set():
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content[: answer.cut])
        handler.close_connection = answer.cut is not None


def _read(handler: BaseHTTPRequestHandler) -> Asked:
    url = urlsplit(handler.path)
    content = handler.rfile.read(int(handler.headers.get("content-length", "0")))
    return Asked(
        method=handler.command,
        path=url.path.removeprefix("/api/v1"),
        params=dict(parse_qsl(url.query)),
        headers={name.lower(): value for name, value in handler.headers.items()},
        body=json.loads(content) if content else None,
        connection=handler.client_address[1],
    )
