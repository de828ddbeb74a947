"""A reader for JSON bodies of requests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from deployments.sandbox.wire.errors import REQUIRED, Invalid, Path
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import parse_moment

LARGEST = 2**53  # beyond this, JSON numbers lose digits


def check_storable(value: Json, path: Path = ()) -> None:
    """Raises Invalid for lone surrogates, infinity and NaN, which no answer could repeat."""
    match value:
        case str():
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                raise Invalid("Value must be valid Unicode.", path)
        case float():
            if not math.isfinite(value):
                raise Invalid("Value must be a finite number.", path)
        case dict():
            for key, each in value.items():
                check_storable(key, path)
                check_storable(each, (*path, key))
        case list():
            for position, each in enumerate(value):
                check_storable(each, (*path, position))
        case _:
            pass


class Body:
    """A JSON object in a request. Values of the wrong type raise Invalid with their path."""

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
        return value

    def required_text(self, key: str) -> str:
        """A string that must not be missing or empty."""
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
        if not abs(value) <= LARGEST:  # true for NaN as well
            raise self.invalid(key, f"The value must not be larger than {LARGEST}.")
        return value

    def moment(self, key: str) -> datetime | None:
        """An instant, or None when absent or null."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return parse_moment(value)
        except ValueError:
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
        """A nested object that must not be missing."""
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
            items.append(item)
        return items

    def without(self, keys: Iterable[str]) -> JsonObject:
        """The data without some keys."""
        left_out = set(keys)
        return {key: value for key, value in self.data.items() if key not in left_out}
