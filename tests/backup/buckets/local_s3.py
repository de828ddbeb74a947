"""S3 on this machine: moto's server, over real HTTP. A test can look into its bucket and have it refuse requests."""

import logging
import re
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from moto.moto_server.werkzeug_app import (  # pyright: ignore[reportMissingTypeStubs]
    DomainDispatcherApplication,
    create_backend_app,
)
from moto.s3.models import FakeKey, S3Backend, s3_backends
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET = "backups"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class LocalS3:
    """An S3 with one bucket. Use it as a context manager."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._refused: dict[str, tuple[int, str]] = {}
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.requests: list[str] = []
        """What was asked, such as ``PUT /backups/file?partNumber=2``."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reset(self) -> None:
        """Back to an empty bucket, and no refusals."""
        s3_backends.reset()
        self._refused.clear()
        self._backend.create_bucket(BUCKET, "us-east-1")
        self.requests.clear()

    def refuse(self, pattern: str, *, status: int = 403, body: str = DENIED) -> None:
        """Answer the requests that match *pattern* so. ``403`` is what S3's clients don't try again."""
        self._refused[pattern] = status, body

    def allow(self) -> None:
        """Refuse nothing any more."""
        self._refused.clear()

    def objects(self) -> dict[str, bytes]:
        """What is in the bucket."""
        keys = cast("dict[str, FakeKey]", self._backend.buckets[BUCKET].keys)
        return {name: key.value for name, key in keys.items()}

    def unfinished(self) -> list[str]:
        """Uploads that were begun, and neither finished nor given up. No listing of the bucket shows them."""
        return [each.key_name for each in self._backend.buckets[BUCKET].multiparts.values()]

    def put(self, name: str, data: bytes) -> None:
        """Write an object, as another process does."""
        self._backend.put_object(BUCKET, name, data)

    def remove(self, name: str) -> None:
        """Delete an object, as another process does."""
        self._backend.delete_object(BUCKET, name)

    @property
    def _backend(self) -> S3Backend:
        return s3_backends["123456789012"]["aws"]

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}".rstrip("?")
        self.requests.append(request)
        for pattern, (status, body) in self._refused.items():
            if re.search(pattern, request):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{status} As Told", [("Content-Type", "application/xml")])
                return [] if environ["REQUEST_METHOD"] == "HEAD" else [body.encode()]
        return self._moto(environ, start_response)
