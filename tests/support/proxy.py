"""A server in front of another one, between a client and what it talks to: there connections are refused and lost."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import parse_headers
from io import BufferedIOBase, BytesIO
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

Spoil = Literal["drop_before", "drop_after", "error", "busy", "forbid"]


@dataclass
class Trouble:
    """What becomes of *times* requests that begin with *request*, as in ``POST /api/x``, after so many others."""

    request: str
    spoil: Spoil | None
    times: int
    after: int
    meanwhile: Callable[[], object]


class Proxy:
    """Passes HTTP on, for the length of a block, unless told otherwise."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (str(parts.hostname), parts.port or 80)
        self._troubles: list[Trouble] = []
        self._passed = 0
        self._shut_after: int | None = None
        self._saying = b""
        self._is_shut = False
        self._lock = Lock()
        self._open(0)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def trouble(
        self,
        request: str,
        spoil: Spoil | None,
        times: int = 1,
        after: int = 0,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Plan trouble, right before which *meanwhile* happens; None is no more trouble than that.

        ``error`` answers 500, ``busy`` 503 and ``forbid`` 403, instead of passing the request on.
        """
        self._troubles.append(Trouble(request, spoil, times, after, meanwhile))

    def shut_after(self, requests: int, saying: bytes = b"") -> None:
        """Refuse every connection once so many more requests are answered, and one of them with these words."""
        self._saying = saying
        self._shut_after = self._passed + requests

    def mend(self) -> None:
        """All is well again."""
        self._troubles.clear()
        if self._is_shut:
            self._open(self._port)
        self._shut_after = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut()

    def _open(self, port: int) -> None:
        self._is_shut = False
        self._server = _Server(self._upstream, self._spoilt, self._answered, port)
        self._port = int(self._server.server_address[1])
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _shut(self) -> None:
        self._server.shut()

    def _spoilt(self, request: bytes) -> Spoil | None:
        with self._lock:
            for trouble in self._troubles:
                if not trouble.times or not request.startswith(trouble.request.encode()):
                    continue
                if trouble.after:
                    trouble.after -= 1
                    continue
                trouble.times -= 1
                trouble.meanwhile()
                return trouble.spoil
        return None

    def _answered(self, reply: bytes) -> bool:
        """Whether *reply*, which is about to go out, is the last."""
        with self._lock:
            self._passed += 1
            enough = self._shut_after is not None and self._passed >= self._shut_after
            self._is_shut = enough and self._saying in reply
        if self._is_shut:
            self._server.shut()
        return self._is_shut


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        upstream: tuple[str, int],
        spoilt: Callable[[bytes], Spoil | None],
        answered: Callable[[bytes], bool],
        port: int,
    ) -> None:
        connections: set[socket.socket] = set()
        self._connections = connections

        class Connection(StreamRequestHandler):
            disable_nagle_algorithm = True  # or answers wait for an acknowledgement

            def handle(self) -> None:
                connections.add(self.connection)
                with socket.create_connection(upstream) as server, server.makefile("rb") as replies:
                    while request := _message(self.rfile):
                        if not self._pass_on(request, server, replies):
                            return

            def _pass_on(self, request: bytes, server: socket.socket, replies: BufferedIOBase) -> bool:
                spoil = spoilt(request)
                if spoil == "drop_before":
                    return False
                if spoil in ANSWERS:
                    self.wfile.write(ANSWERS[spoil])
                    return True
                server.sendall(request)
                reply = _message(replies)
                if not reply or spoil == "drop_after":
                    return False
                last = answered(reply)
                self.wfile.write(reply)
                return not last

            def finish(self) -> None:
                connections.discard(self.connection)
                super().finish()

        super().__init__(("127.0.0.1", port), Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is no news."""

    def shut(self) -> None:
        """Refuse connections, and read no more from those that are there; what is being answered is still sent."""
        self.shutdown()
        self.server_close()
        for each in list(self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RD)


ANSWERS: dict[str, bytes] = {
    spoil: b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % status
    for spoil, status in {
        "error": b"500 Internal Server Error",
        "busy": b"503 Service Unavailable",
        "forbid": b"403 Forbidden",
    }.items()
}


def _message(stream: BufferedIOBase) -> bytes:
    """One HTTP message whose length is in its head; empty when the connection has ended."""
    head = b""
    while line := stream.readline():
        head += line
        if line == b"\r\n":
            break
    _, _, fields = head.partition(b"\r\n")
    return head + stream.read(int(parse_headers(BytesIO(fields)).get("Content-Length", "0")))
