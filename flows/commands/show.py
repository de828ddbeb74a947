"""A report, for a person at a terminal."""

import html
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.commands.terminal import printable
from tasks.outcomes import Outcome
from tasks.report import Report

WIDE = 200  # columns, where there is no terminal to fit into
COLUMNS = ("name", "status", "last communication", "lead")
SHOWN = {Outcome.DRY_RUN, Outcome.REFUSED}


class Published(Protocol):
    """What the run has published of its plan: an artifact of Prefect."""

    description: str | None
    data: Any


def show(report: Report, plan: Published | None, url: str | None) -> None:
    """Print *report* on stdout; after a dry run or a refusal with the sample of *plan*, the plan artifact."""
    console = _console()
    console.print(Text(report.headline, style="bold"))
    console.print(Text(printable(report.message)))
    console.print()
    console.print(_grid([(name, f"{number:,}") for name, number in report.counts()]))
    for note in notes(plan):
        console.print(Text(f"Note: {note}"))
    sample = rows(plan)
    if sample and report.outcome in SHOWN:
        console.print(Text(f"\nThe {len(sample)} oldest of the planned leads:"))
        console.print(_grid([COLUMNS, *sample]))
    facts = [("Bulk delete", report.bulk_delete_id), ("Cut-off", report.as_of), ("Run", url or report.flow_run_id)]
    console.print()
    console.print(_grid([(name, text) for name, text in facts if text]))


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


def _grid(lines: Iterable[Sequence[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, line in enumerate(lines):
        if number == 0:
            for place, _ in enumerate(line):
                table.add_column(overflow="fold" if place else "ellipsis")
        table.add_row(*(Text(printable(cell)) for cell in line))
    return table


def rows(plan: Published | None) -> list[tuple[str, ...]]:
    """The sample of a plan, as it was before it was made safe for markdown."""
    found = cast("object", json.loads(plan.data) if plan and isinstance(plan.data, str) else None)
    table = cast("list[dict[str, str]]", found if isinstance(found, list) else [])
    return [tuple(_unescaped(row.get(column, "")) for column in COLUMNS) for row in table]


def notes(plan: Published | None) -> list[str]:
    """What a plan says to watch out for."""
    description = (plan.description or "") if plan else ""
    return [_unescaped(note) for note in re.findall(r"^> (.+)$", description, re.MULTILINE)]


def _unescaped(text: str) -> str:
    return html.unescape(re.sub(r"\\([\\`*_{}\[\]()#+!|~])", r"\1", text)).removeprefix("'")
