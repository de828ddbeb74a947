"""Refusing what a newer version of this project has written. Pure."""

from collections.abc import Mapping
from typing import cast


def from_newer_version(what: str, data: object, known: int) -> str | None:
    """A sentence that refuses *what* if the ``version`` in its *data* is higher than *known*, or None."""
    version = cast("Mapping[str, object]", data).get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and version > known:
        newer = f"its version is {version}, not {known}"
        return f"{what} was written by a newer version of this project ({newer}): upgrade."
    return None
