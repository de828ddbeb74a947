"""What a word is. Close doesn't document it; here letters and digits form words, everything else separates them."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of *text*, in lower case: "ACME (test)" has "acme" and "test", "Testudo" has only "testudo"."""
    return _WORD.findall(text.lower())


def spaced(text: str | None) -> str:
    """The words of *text* between single spaces, so that ``" test "`` is found only where it is a whole word."""
    return f" {' '.join(words(text or ''))} "
