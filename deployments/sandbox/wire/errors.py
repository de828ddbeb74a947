"""Errors as Close words them.

ApiError
├── Invalid       400, field-errors
├── Unauthorized  401
├── NotAllowed    403 (or 401: see Behaviour.not_allowed_status)
└── NotFound      404
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from deployments.sandbox.wire.json_types import Json, JsonObject

Path: TypeAlias = tuple[str | int, ...]

URL_NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)
REQUIRED = "This field is required."
NO_SUCH_OBJECT = "Object does not exist."


class ApiError(Exception):
    """An error response: its status, JSON body and headers."""

    def __init__(self, status: int, body: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers


class Invalid(ApiError):
    """400: what is wrong (*message*) and where in the body (*path*: keys, and positions in lists)."""

    def __init__(self, message: str, path: Path = ()) -> None:
        self.message = message
        self.path = path
        body: JsonObject = {"error": message}
        if path:
            nested: Json = message
            for step in reversed(path):
                nested = {step: nested} if isinstance(step, str) else {"errors": {str(step): nested}}
            body = {"field-errors": nested, "errors": []}
        super().__init__(400, body)

    def under(self, *path: str | int) -> Invalid:
        """The same error, with *path* prepended to its path."""
        return Invalid(self.message, (*path, *self.path))


class Unauthorized(ApiError):
    """401: no key, or one that nobody has."""

    def __init__(self) -> None:
        super().__init__(401, {"error": "Unauthorized"})


class NotAllowed(ApiError):
    """403 (or 401): the user of the key may not do this. Close doesn't document the text."""

    def __init__(self, status: int, action: str) -> None:
        text = "Unauthorized" if status == 401 else f"You do not have permission to {action}."
        super().__init__(status, {"error": text})


class NotFound(ApiError):
    """404: no such object, or one of another organisation."""

    def __init__(self, what: str) -> None:
        super().__init__(404, {"error": f"Empty query: {what} does not exist."})
