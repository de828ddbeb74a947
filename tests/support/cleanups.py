"""A cleanup as a test starts it, and how it ended."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a flow run ended."""

    name: str
    type: str
    message: str
    report: Any


RunCleanup = Callable[..., Ended]
