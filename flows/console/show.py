"""A report, for a person at a terminal."""

import shlex
import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from flows.console.bars import can_draw, drawn
from flows.console.terminal import printable, put, typed
from tasks.report.model import Report, RunReport
from tasks.report.page import PAST_RUNS, PastRun
from tasks.runs.outcomes import Outcome

FACTS = ("Approved", "Bulk delete", "Backup", "Cut-off", "Run")
SHOWN = {Outcome.DRY_RUN, Outcome.REFUSED}
SAMPLED = ("name", "status", "last communication")


def show(report: RunReport, url: str | None, earlier: Sequence[PastRun] = ()) -> None:
    """Print *report* on stdout; after a dry run or a refusal with a sample of what was planned.

    At a terminal the numbers have bars. *earlier* has the runs of the same cleanup before it.
    """
    put("\n".join([report.headline, *map(printable, (report.below_headline, *report.alarms()))]))
    _paragraph(counts_of(report, bars=can_draw()))
    if isinstance(report, Report):
        _paragraph([report.overlap] if report.overlap else [])
        _paragraph([f"Criteria: {printable(report.criteria)}"] if report.criteria else [])
        _paragraph([printable(report.along)] if report.along else [])
    _paragraph([f"Note: {note}" for note in map(printable, report.notes)])
    if isinstance(report, Report) and report.sample and report.outcome in SHOWN:
        whole = len(report.sample) == report.planned
        _paragraph(["The planned leads:" if whole else "The oldest of the planned leads:", *sample_of(report)])
    facts = {**dict(report.facts()), "Run": url or report.flow_run_id}
    _paragraph(table([(name, text) for name in FACTS if (text := facts.get(name))]))
    _paragraph(
        ["To see what the backup would restore (with --no-dry-run, to restore it):", f"  {report.undo}"]
        if report.undo
        else []
    )
    if earlier:
        _paragraph(
            [
                "Earlier runs:",
                *table(
                    [each.cells for each in earlier],
                    *PAST_RUNS[:2],
                    *(Column(name, justify="right") for name in PAST_RUNS[2:]),
                ),
            ]
        )
    if report.outcome is Outcome.DRY_RUN and not report.alarms():
        _then_do(typed.get(), report)


def _then_do(words: Sequence[str], report: RunReport) -> None:
    if words[:1] == ["run"] and isinstance(report, Report):
        _paragraph(["To delete them:", f"  {live(words, '--expect', str(report.planned or 0))}"])
    if words[:1] == ["restore"]:
        _paragraph(["To restore them:", f"  {live(words)}"])


def live(words: Sequence[str], *more: str) -> str:
    """The command that does what the dry run with these *words* has planned."""
    before = [None, *words]
    kept = [
        word
        for word, previous in zip(words, before, strict=False)
        if word != "--dry-run" and not word.startswith("--expect") and previous != "--expect"
    ]
    return shlex.join(["lead-cleanup", *kept, "--no-dry-run", *more])


def _paragraph(lines: Sequence[str]) -> None:
    if lines:
        put("\n" + "\n".join(lines))


def counts_of(report: RunReport, *, bars: bool = False) -> list[str]:
    """The numbers of *report*, one a line; with *bars* behind those that have one."""
    drawings = {each.name: each for each in report.bars()} if bars else {}
    whole = max((each.start + each.length for each in drawings.values()), default=0)
    rows = [
        (name, f"{number:,}", drawn(drawings[name], whole) if whole and name in drawings else "")
        for name, number in report.counts()
    ]
    return table(rows, "", Column(justify="right"), "")


def sample_of(report: Report) -> list[str]:
    """The sample of *report*; without the leads' ids where a narrow terminal would break every line."""
    columns = [Column(name, max_width=36, overflow="ellipsis", no_wrap=True) for name in SAMPLED]
    rows = [(lead.name, lead.status, lead.last_communication, lead.id) for lead in report.sample]
    lines = table(rows, *columns, "lead")
    fits = not sys.stdout.isatty() or max(map(cell_len, lines), default=0) <= shutil.get_terminal_size().columns
    return lines if fits else table([row[:-1] for row in rows], *(column.copy() for column in columns))


def table(rows: Sequence[Sequence[str | Text]], *columns: Column | str) -> list[str]:
    """*rows* as lines, with their cells below one another, and under the names of *columns* if these have names.

    A cell that is a drawing has its colours where stdout is a terminal that shows them.
    """
    if not rows:
        return []
    grid = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=None)
    grid.show_header = any(column.header for column in grid.columns)
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    console = Console(width=10_000)
    with console.capture() as printed:
        console.print(grid)
    return [line.rstrip() for line in printed.get().splitlines()]
