"""Speaking to the person at the terminal: results on stdout, everything else on stderr."""

import sys
import unicodedata
from collections.abc import Sequence
from contextvars import ContextVar

WRONG_USAGE = 2
INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C ended
TERMINATED = 143  # and of one that SIGTERM ended


typed: ContextVar[Sequence[str]] = ContextVar("typed", default=())
"""The words after ``lead-cleanup``."""


class Usage(Exception):
    """The command can't be carried out as it was given. The message is one sentence that says what to do."""


def say(text: str) -> None:
    """One line on stderr: progress, a note, or what is wrong."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def put(text: str) -> None:
    """A result, on stdout."""
    print(text, flush=True)  # noqa: T201


def printable(text: str) -> str:
    """*text* as one line without what could steer a terminal: names of leads are written by strangers."""
    return "".join(letter for letter in " ".join(text.split()) if unicodedata.category(letter)[0] != "C")
