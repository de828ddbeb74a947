"""Faults between a client and Close, on demand."""

from __future__ import annotations

import threading
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

FaultName: TypeAlias = Literal[
    "status", "drop_before", "drop_after", "delay", "garbage", "truncate", "edit", "rate_limit"
]


class Fault(BaseModel):
    """A fault that hits the next *times* requests with this method and path, after skipping some.

    `status`, `drop_before` and `rate_limit` keep the request from having an effect. With `drop_after`, `delay`,
    `garbage`, `truncate` and `edit` it has its effect, but the response is lost, late, unreadable or changed.
    """

    model_config = ConfigDict(extra="forbid")

    method: str = Field(default="*", description="GET, POST …, or * for any.")
    path: str = Field(default="/", description="How the path begins, below /api/v1.")
    fault: FaultName
    times: int = Field(default=1, ge=1, description="How many requests are hit.")
    after: int = Field(default=0, ge=0, description="How many matching requests are let through first.")
    status: int | None = Field(
        default=None, ge=100, le=599, description="The status of status (500) and garbage (200)."
    )
    seconds: float | None = Field(
        default=None,
        ge=0,
        description="How late a delayed answer is (1), what a rate limit asks to wait (0.2), how late a drop is (0).",
    )
    fields: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="For edit: what to answer instead; what the answer itself doesn't have, in each row of its list.",
    )
    omit: list[str] = Field(default_factory=list[str], description="For edit: what to leave out of the answer.")
    before: bool = Field(default=False, description="For delay: the effect is late too, not only the answer.")

    @property
    def delay_seconds(self) -> float:
        """Seconds before the response is sent or the connection dropped."""
        if self.fault in ("drop_before", "drop_after"):
            return self.seconds_or(0)
        return self.seconds_or(1) if self.fault == "delay" and not self.before else 0

    def seconds_or(self, default: float) -> float:
        """The seconds given, or a default."""
        return default if self.seconds is None else self.seconds

    def hits(self, method: str, path: str) -> bool:
        """Whether it applies to this request."""
        return self.method in ("*", method) and path.startswith(self.path)


class Faults:
    """The planned faults, in order."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, faults: list[Fault]) -> None:
        """Plan more faults."""
        with self._lock:
            self._waiting += [fault.model_copy() for fault in faults]

    def clear(self) -> None:
        """Remove all planned faults."""
        with self._lock:
            self._waiting.clear()

    def next(self, method: str, path: str) -> Fault | None:
        """Returns the fault for this request, if any, and counts it as used."""
        with self._lock:
            for fault in self._waiting:
                if not fault.hits(method, path):
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
                return fault
        return None
