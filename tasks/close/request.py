"""One request to Close, as a value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One request. Close counts its rate limits by method and *endpoint*, which keeps its ``{id}``."""

    method: Literal["GET", "POST", "PUT"]
    endpoint: str
    id: str = ""
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    body: JSON | None = None

    def __post_init__(self) -> None:
        if "{id}" in self.endpoint and not re.fullmatch(r"\w+", self.id, re.ASCII):
            raise ValueError(f"{self.id!r} is not an id of Close; an id is letters, digits and underscores.")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def path(self) -> str:
        """The path below CLOSE_API_URL."""
        return self.endpoint.replace("{id}", self.id)

    @property
    def bucket(self) -> str:
        """What Close counts it under."""
        return f"{self.method} {self.endpoint}"
