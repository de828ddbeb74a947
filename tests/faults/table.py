"""MATRIX.md: what the rows of the fault matrix came to, as a table that people read and tests hold.

``make matrix`` lives through every row and writes the file; ``make test`` and ``make test-all`` hold it against what
happens then.
"""

import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

FILE = Path(__file__).parent / "MATRIX.md"
UPDATE = bool(os.environ.get("UPDATE_MATRIX"))
HEAD = """| At | what happens | the run ends | POSTs | tried again, it ends | started again by a person |
|---|---|---|---|---|---|"""
INTRODUCTION = """# The fault matrix

What a run that deletes does when something goes wrong, by the step at which it happens: how the run ends, how often it
asked Close for a bulk delete, and how the same run ends when all is well again and it is tried again. Where that is
`unknown`, a person lets it start once more. Nothing is ever deleted that wasn't planned, no row has a second bulk
delete that nobody asked for, and in every row all planned leads are gone in the end.

This file is written by the tests that live through it (`make matrix`), against the sandbox: what Close itself does may
differ where nobody outside knows.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    stage: str
    fault: str
    ends: str
    posts: str
    again: str
    by_person: str = ""

    @property
    def line(self) -> str:
        """The row as markdown."""
        return f"| {' | '.join(astuple(self))} |"


def key(line: str) -> tuple[str, str]:
    """The stage and the fault of a row."""
    _, stage, fault, *_ = (cell.strip() for cell in line.split("|"))
    return stage, fault


def count_of(sent: int, started: int) -> str:
    """How many POSTs were *sent*, and how many bulk deletes they *started*. In a storm their number is up to chance."""
    if sent == started:
        return f"{sent}"
    return f"{sent if sent <= 2 else 'several'}, of which {started} with effect"


def committed() -> dict[tuple[str, str], str]:
    """The rows of the file, by stage and fault."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return {key(line): line for line in lines if line.startswith("| ") and not HEAD.startswith(line)}


def check(row: Row, order: Iterable[tuple[str, str]]) -> None:
    """Hold *row* against the file; or, if the file is being written, put it there, in this *order* of rows."""
    rows = committed()
    if not UPDATE:
        assert row.line == rows.get((row.stage, row.fault)), f"MATRIX.md is out of date: {row.line}"
        return
    rows[row.stage, row.fault] = row.line
    FILE.write_text("\n".join([INTRODUCTION, HEAD, *(rows[each] for each in order if each in rows)]) + "\n")
