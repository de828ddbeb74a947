"""Whether something that a run finds was written by a newer version of this project. Pure."""

from collections.abc import Mapping
from typing import cast


def from_newer_version(what: str, data: object, known: int) -> str | None:
    """A sentence that refuses *what* if the ``version`` in its *data* is higher than the one that is *known*."""
    version = cast("Mapping[str, object]", data).get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and version > known:
        return (
            f"{what} was written by a newer version of this project (its version is {version}, not {known}): upgrade."
        )
    return None
