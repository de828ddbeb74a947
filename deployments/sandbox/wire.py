"""What goes over the wire: JSON types, the errors as Close words them, and a reader for request bodies.

ApiError
├── Invalid       400, field-errors
├── Unauthorized  401
├── NotAllowed    403 (or 401: see Behaviour.not_allowed_status)
└── NotFound      404
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from deployments.sandbox.moments import read_moment

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]
Path: TypeAlias = tuple[str | int, ...]

URL_NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)
REQUIRED = "This field is required."
NO_SUCH_OBJECT = "Object does not exist."
LARGEST = 2**53  # the whole numbers that JSON can be trusted with


class ApiError(Exception):
    """An answer other than success: its status and its JSON body."""

    def __init__(self, status: int, body: JsonObject) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


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
        """The same complaint, one place further out."""
        return Invalid(self.message, (*path, *self.path))


class Unauthorized(ApiError):
    """401: no key, or one that nobody has."""

    def __init__(self) -> None:
        super().__init__(401, {"error": "Unauthorized"})


class NotAllowed(ApiError):
    """The key is good but its user may not do this. Close doesn't document the answer's text."""

    def __init__(self, status: int, action: str) -> None:
        text = "Unauthorized" if status == 401 else f"You do not have permission to {action}."
        super().__init__(status, {"error": text})


class NotFound(ApiError):
    """404: no such object, or one of another organisation."""

    def __init__(self, what: str) -> None:
        super().__init__(404, {"error": f"Empty query: {what} does not exist."})


class Body:
    """A JSON object of a request, read key by key; what has the wrong type raises Invalid with its place."""

    def __init__(self, data: JsonObject, path: Path = ()) -> None:
        self.data = data
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def invalid(self, key: str, message: str) -> Invalid:
        """The error for *key*."""
        return Invalid(message, (*self.path, key))

    def text(self, key: str) -> str | None:
        """A string, or None when absent or null."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.invalid(key, "Value must be of basestring type.")
        return self._storable(key, value)

    def _storable(self, key: str, value: str) -> str:
        """*value*, if it can be written as UTF-8: JSON can spell halves of characters, a database can't."""
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.invalid(key, "Value must be valid Unicode.")
        return value

    def required_text(self, key: str) -> str:
        """A string that must be there and not empty."""
        value = self.text(key)
        if not value:
            raise self.invalid(key, REQUIRED)
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of *choices*, or *default* when absent or null."""
        value = self.text(key)
        if value is None:
            return default
        if value not in choices:
            raise self.invalid(key, "Not a valid choice.")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """True or false, or *default* when absent or null."""
        value = self.data.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.invalid(key, "Value must be of bool type.")

    def integer(self, key: str, minimum: int | None = None) -> int | None:
        """A whole number, or None when absent or null."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.invalid(key, "Value must be of int type.")
        if abs(value) > LARGEST:
            raise self.invalid(key, f"The value must not be larger than {LARGEST}.")
        if minimum is not None and value < minimum:
            raise self.invalid(key, f"The value must be at least {minimum}.")
        return value

    def number(self, key: str) -> float | None:
        """A number, or None when absent or null."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.invalid(key, "Value must be of float type.")
        if not abs(value) <= LARGEST:  # not a number isn't either
            raise self.invalid(key, f"The value must not be larger than {LARGEST}.")
        return value

    def moment(self, key: str) -> datetime | None:
        """An instant, or None when absent or null."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return read_moment(value)
        except (ValueError, OverflowError):
            raise self.invalid(key, "Could not parse datetime") from None

    def object(self, key: str) -> Body | None:
        """A nested object, or None when absent or null."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Body(value, (*self.path, key))
        raise self.invalid(key, "Value must be of dict type.")

    def required_object(self, key: str) -> Body:
        """A nested object that must be there."""
        value = self.object(key)
        if value is None:
            raise self.invalid(key, REQUIRED)
        return value

    def array(self, key: str) -> list[Json]:
        """A list, empty when absent or null."""
        value = self.data.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self.invalid(key, "Value must be of list type.")

    def objects(self, key: str) -> list[Body]:
        """A list of objects, empty when absent or null."""
        items: list[Body] = []
        for position, item in enumerate(self.array(key)):
            if not isinstance(item, dict):
                raise Invalid("Value must be of dict type.", (*self.path, key, position))
            items.append(Body(item, (*self.path, key, position)))
        return items

    def texts(self, key: str) -> list[str]:
        """A list of strings, empty when absent or null."""
        items: list[str] = []
        for position, item in enumerate(self.array(key)):
            if not isinstance(item, str):
                raise Invalid("Value must be of basestring type.", (*self.path, key, position))
            items.append(self._storable(key, item))
        return items

    def rest(self, known: Iterable[str]) -> JsonObject:
        """What is left when the *known* keys are taken away: kept as it came, given back as it is."""
        names = set(known)
        return {key: value for key, value in self.data.items() if key not in names}
