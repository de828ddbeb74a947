"""What a command leaves at the terminal."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, cast


class Said(NamedTuple):
    """The exit code, and what was printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return cast("dict[str, Any]", json.loads(self.out))

    def is_one_line(self, sentence: str, *, code: int = 2) -> None:
        """Nothing but one line on stderr, with *sentence* in it."""
        assert self.code == code, self.err
        assert self.out == ""
        assert sentence in self.err
        assert len(self.err.splitlines()) == 1, self.err


Command = Callable[..., Said]
