"""How text is split into words. Close doesn't document it; here everything but letters and digits separates words."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Returns the lower-case words of *text*: "ACME (test)" has "acme" and "test", "Testudo" only "testudo"."""
    return _WORD.findall(text.lower())


def spaced(text: str | None) -> str:
    """Returns the words of *text*, each surrounded by spaces, so that ``" test "`` matches whole words only."""
    return f" {' '.join(words(text or ''))} "
