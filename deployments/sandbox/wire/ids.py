"""Ids as Close makes them: a prefix and 43 letters or digits (22 for events and requests)."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Iterator
from functools import cache
from itertools import product
from random import Random

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
LONG, SHORT = 43, 22


def new_id(prefix: str, length: int = LONG) -> str:
    """A random id."""
    return f"{prefix}_" + "".join(LETTERS[byte % len(LETTERS)] for byte in secrets.token_bytes(length))


@cache
def fixed_id(prefix: str, name: str) -> str:
    """The same id for the same name in every sandbox."""
    number = int.from_bytes(hashlib.sha256(f"{prefix} {name}".encode()).digest() * 2)
    digits: list[str] = []
    for _ in range(LONG):
        number, digit = divmod(number, len(LETTERS))
        digits.append(LETTERS[digit])
    return f"{prefix}_" + "".join(digits)


def seeded_ids(prefix: str, random: Random) -> Iterator[str]:
    """Yields distinct ids that depend only on *random*; fast enough for millions.

    The first five characters count up, so that the index on the id grows at its end; the others are a slice of one
    long random text.
    """
    text = "".join(random.choices(LETTERS, k=4096))
    for head in product(LETTERS, repeat=5):
        start = random.randrange(4096 - LONG)
        yield f"{prefix}_{''.join(head)}{text[start : start + LONG - 5]}"
