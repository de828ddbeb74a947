"""Variations of a test: the first few show the behaviour, and the others are left to `make test-all`."""

from collections.abc import Iterable
from typing import Any, cast

import pytest


def first(count: int, values: Iterable[Any]) -> list[Any]:
    """Return *values* for `parametrize`, all but the first *count* of them marked exhaustive."""
    return [value if number < count else _exhaustive(value) for number, value in enumerate(values)]


def _exhaustive(value: Any) -> Any:
    several = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
    return pytest.param(*several, marks=pytest.mark.exhaustive)
