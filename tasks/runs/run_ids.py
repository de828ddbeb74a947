"""Ids of runs as people write them: whole, or the first eight digits and more. Pure."""

import re
from uuid import UUID

ENOUGH = 8  # hexadecimal digits: as many as an id has before its first dash


def is_whole(text: str) -> bool:
    """Whether *text* is a whole id, in any spelling."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def is_beginning(text: str) -> bool:
    """Whether *text* may be an id, or the beginning of one."""
    return re.fullmatch(rf"[0-9a-fA-F]{{{ENOUGH}}}[0-9a-fA-F-]*", text) is not None


def begins(run_id: UUID | str, text: str) -> bool:
    """Whether the id begins as *text* does, or is that id."""
    return is_beginning(text) and UUID(str(run_id)).hex.startswith(_digits(text))


def last_that_begins(text: str) -> str:
    """The last of all ids that begin as *text* does, in hexadecimal digits."""
    return _digits(text).ljust(32, "f")


def _digits(text: str) -> str:
    return text.replace("-", "").lower()
