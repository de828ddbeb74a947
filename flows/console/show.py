"""A report, for a person at a terminal."""

import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from flows.console.terminal import printable, put
from tasks.report.model import Report, RunReport
from tasks.runs.outcomes import Outcome

COLUMNS = ("name", "status", "last communication", "lead")
WIDEST_NAME = 36  # columns
FACTS = ("Approved", "Bulk delete", "Backup", "Cut-off", "Run")
SHOWN = {Outcome.DRY_RUN, Outcome.REFUSED}


def show(report: RunReport, url: str | None) -> None:
    """Print *report* on stdout; after a dry run or a refusal with a sample of what was planned."""
    put(f"{report.headline}\n{printable(report.message)}")
    counts = report.counts()
    width = max((len(f"{number:,}") for _, number in counts), default=0)
    _paragraph(aligned([(name, f"{number:>{width},}") for name, number in counts]))
    _paragraph([f"Note: {note}" for note in map(printable, report.notes)])
    sample = sampled(report) if isinstance(report, Report) and report.outcome in SHOWN else []
    if sample:
        _paragraph([f"The {len(sample)} oldest of the planned leads:", *aligned(that_fit([COLUMNS, *sample]))])
    facts = {**dict(report.facts()), "Run": url or report.flow_run_id}
    _paragraph(aligned([(name, printable(text)) for name in FACTS if (text := facts.get(name))]))


def _paragraph(lines: Sequence[str]) -> None:
    if lines:
        put("\n" + "\n".join(lines))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """*rows* as lines, with their cells below one another."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    padded = [[set_cell_size(*each) for each in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join(row).rstrip() for row in padded]


def that_fit(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """*rows* without their last column, the leads' ids, where a narrow terminal would break every line."""
    fits = not sys.stdout.isatty() or max(map(cell_len, aligned(rows))) <= shutil.get_terminal_size().columns
    return rows if fits else [row[:-1] for row in rows]


def sampled(report: Report) -> list[tuple[str, ...]]:
    """The sample of what was planned, as rows."""
    return [tuple(map(_cell, (lead.name, lead.status, lead.last_communication, lead.id))) for lead in report.sample]


def _cell(text: str) -> str:
    cell = printable(text)
    fits = cell_len(cell) <= WIDEST_NAME or cell.startswith("lead_")
    return cell if fits else f"{set_cell_size(cell, WIDEST_NAME - 2)} …"
