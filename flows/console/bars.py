"""Bars at a terminal: how far a step is, and where the leads of a report stand among those that matched."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from tasks.report.picture import Bar
from tasks.report.step import Step

ROOM = 36  # characters
COLOURS = {
    "matched": "",
    "kept": "green",
    "planned": "yellow",
    "waiting": "yellow",
    "deleted": "red",
    "left": "magenta",
}


def drawn(bar: Bar, whole: int) -> Text:
    """*bar* in characters, of which *whole* leads fill the room."""
    start = ROOM * bar.start // whole
    length = max(round(ROOM * bar.length / whole), 1) if bar.length else 0
    return Text(" " * min(start, ROOM - length)) + Text("█" * length, COLOURS[bar.kind])


def can_draw() -> bool:
    """Whether stdout is a terminal that has the characters for bars."""
    return sys.stdout.isatty() and not Console(file=sys.stdout).options.ascii_only


class Steps:
    """A bar on stderr for the step that is under way. Nothing is drawn where that is no terminal."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(ROOM),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            auto_refresh=False,  # each step draws: no thread outlives what it shows
        )
        self._under_way: tuple[str, TaskID] | None = None

    def show(self, step: Step) -> None:
        """Draw *step*, below what was printed before."""
        if self._under_way is None or self._under_way[0] != step.verb:
            self.end()
            self._under_way = step.verb, self._bars.add_task(step.verb.capitalize(), total=step.total, pace="")
            self._bars.start()
        pace = ", ".join(filter(None, (step.rate, step.left)))
        self._bars.update(self._under_way[1], completed=step.done, total=step.total, pace=pace)
        self._bars.refresh()
        if step.done >= step.total:
            self.end()

    def end(self) -> None:
        """Leave the bar as it is, and the terminal as it was."""
        if self._under_way is not None:
            self._bars.stop()
            self._bars.remove_task(self._under_way[1])
            self._under_way = None


@contextmanager
def steps_shown() -> Generator[None]:
    """A block in which each step is a bar, if stderr is a terminal; elsewhere the log has lines on it."""
    from tasks.report import progress

    console = Console(stderr=True)
    if not console.is_terminal or console.options.ascii_only:
        yield
        return
    steps = Steps(console)
    progress.watch = steps.show
    try:
        yield
    finally:
        progress.watch = None
        steps.end()
