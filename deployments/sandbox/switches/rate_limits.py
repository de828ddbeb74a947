"""Rate limits per key and kind of request, and three times as much per organisation.

The sizes for leads, contacts, custom fields, searches and `/me/` were seen in production; those of the other endpoints,
`/bulk_action/` among them, are guesses.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.sandbox.wire.errors import ApiError
from deployments.sandbox.wire.json_types import JsonObject

ORGANIZATION_FACTOR = 3
# Method (or * for any), beginning of the path, requests per window. The first match applies.
BUCKETS = (
    ("POST", "/data/search", 16),
    ("DELETE", "/lead/", 80),
    ("*", "/lead/", 240),
    ("*", "/contact/", 240),
    ("*", "/custom_field/", 240),
    ("*", "/me/", 160),
    ("*", "/bulk_action/", 160),  # a guess
    ("*", "/export/", 160),  # a guess
)
OTHERS = 240  # a guess


class RateLimitSettings(BaseModel):
    """Whether and how requests are limited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether there is any limit.")
    separator: Literal[",", ";"] = Field(default=",", description="What separates the parts of the RateLimit header.")
    decimals: bool = Field(
        default=False,
        description="Whether resets have decimals. Close's own Python client cuts them off and asks again too soon.",
    )
    window_seconds: float = Field(default=8, gt=0, description="How long a window is.")
    scale: float = Field(default=1, gt=0, description="Multiplies the number of requests allowed.")


@dataclass
class Window:
    """The requests of one key, or organisation, in one bucket since *began*."""

    began: float
    requests: int = 0


@dataclass(frozen=True)
class RateLimit:
    """The state of a rate limit, as in the RateLimit header."""

    limit: int
    remaining: int
    reset: float

    def header(self, separator: str) -> str:
        """The value of the header."""
        return f"{separator} ".join((f"limit={self.limit}", f"remaining={self.remaining}", f"reset={self.reset:g}"))


class RateLimited(ApiError):
    """429: wait *reset* seconds. Close's body has an object where other errors have a text."""

    def __init__(self, rate_limit: RateLimit) -> None:
        body: JsonObject = {"error": {"rate_limit": rate_limit.limit, "rate_reset": rate_limit.reset}}
        super().__init__(429, body, {"retry-after": str(math.ceil(rate_limit.reset))})
        self.rate_limit = rate_limit


class RateLimits:
    """Counts requests. Its memory grows with the number of keys and kinds of requests, not with requests."""

    def __init__(self, settings: RateLimitSettings) -> None:
        self.settings = settings
        self._windows: dict[tuple[str, str, str], Window] = {}
        self._lock = threading.Lock()

    def reset(self, settings: RateLimitSettings) -> None:
        """Reset the counters and use *settings*."""
        with self._lock:
            self.settings = settings
            self._windows.clear()

    def count(self, key: str, organization_id: str, method: str, path: str) -> RateLimit | None:
        """Count one request; None without limits. Raises RateLimited when the window is used up."""
        if not self.settings.enabled:
            return None
        bucket_method, prefix, size = next(
            (each for each in BUCKETS if each[0] in ("*", method) and path.startswith(each[1])), ("*", "/", OTHERS)
        )
        limit = max(1, int(size * self.settings.scale))
        with self._lock:
            mine = self._window((key, bucket_method, prefix))
            ours = self._window((organization_id, bucket_method, prefix))
            for window, allowed in ((mine, limit), (ours, limit * ORGANIZATION_FACTOR)):
                if window.requests >= allowed:
                    raise RateLimited(RateLimit(allowed, 0, self._reset(window)))
            mine.requests += 1
            ours.requests += 1
            return RateLimit(limit, limit - mine.requests, self._reset(mine))

    def _window(self, name: tuple[str, str, str]) -> Window:
        window = self._windows.get(name)
        if window is None or time.monotonic() - window.began >= self.settings.window_seconds:
            window = self._windows[name] = Window(time.monotonic())
        return window

    def _reset(self, window: Window) -> float:
        """Seconds until the window ends, rounded up, so that a retry after them is not too early."""
        left = max(0.01, window.began + self.settings.window_seconds - time.monotonic())
        return math.ceil(left * 100) / 100 if self.settings.decimals else math.ceil(left)
