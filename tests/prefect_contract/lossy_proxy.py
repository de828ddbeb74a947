"""A proxy in front of a Prefect server that loses one reply: the request takes effect, and nobody hears of it."""

import socket
from http.client import parse_headers
from io import BufferedIOBase, BytesIO
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class LossyProxy:
    """A server for the length of a block. *cut* begins the request whose first reply is lost, as in ``POST /api/x``."""

    def __init__(self, api: str, cut: str) -> None:
        upstream = (str(urlsplit(api).hostname), urlsplit(api).port or 80)
        self._cut = Event()

        was_cut = self._cut

        class Connection(StreamRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(upstream) as server, server.makefile("rb") as replies:
                    while request := _message(self.rfile):
                        server.sendall(request)
                        reply = _message(replies)
                        if request.startswith(cut.encode()) and not was_cut.is_set():
                            was_cut.set()
                            return  # which closes the connection
                        self.wfile.write(reply)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self.api = f"http://127.0.0.1:{self._server.server_address[1]}/api"

    @property
    def was_cut(self) -> bool:
        """Whether the reply has been lost yet."""
        return self._cut.is_set()

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _message(stream: BufferedIOBase) -> bytes:
    """One HTTP message whose length is in its head, as Prefect's all are; empty when the connection has ended."""
    head = b""
    while line := stream.readline():
        head += line
        if line == b"\r\n":
            break
    _, _, fields = head.partition(b"\r\n")
    return head + stream.read(int(parse_headers(BytesIO(fields)).get("Content-Length", "0")))
