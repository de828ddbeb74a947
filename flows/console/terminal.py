"""Speaking to the person at the terminal: results on stdout, everything else on stderr."""

import os
import sys
import unicodedata
from collections.abc import Sequence
from contextvars import ContextVar

WRONG_USAGE = 2
INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C ended
COLOURS = {"red": 31, "green": 32, "yellow": 33}  # as terminals number them
TERMINATED = 143  # and of one that SIGTERM ended


typed: ContextVar[Sequence[str]] = ContextVar("typed", default=())
"""The words after ``lead-cleanup``."""


class Usage(Exception):
    """The command can't be carried out as it was given. The message is one sentence that says what to do."""


def say(text: str) -> None:
    """One line on stderr: progress, a note, or what is wrong."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def say_table(lines: Sequence[str]) -> None:
    """The lines of a table, whose cells are printable already, on stderr."""
    print(*lines, sep="\n", end="\n\n", file=sys.stderr, flush=True)  # noqa: T201


def put(text: str) -> None:
    """A result, on stdout."""
    print(text, flush=True)  # noqa: T201


def coloured(text: str, colour: str) -> str:
    """*text* in this *colour* on stdout, if that is a terminal and its user wants colours (https://no-color.org)."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if wanted and colour else text


def printable(text: str) -> str:
    """*text* as one line without what could steer a terminal: names of leads are written by strangers."""
    return "".join(letter for letter in " ".join(text.split()) if unicodedata.category(letter)[0] != "C")
