"""BENCHMARKS.md and results.json: what `make bench` measured, as a table for people and as numbers."""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

HERE = Path(__file__).parent
PAGE, RESULTS, README = HERE / "BENCHMARKS.md", HERE / "results.json", HERE.parent.parent / "README.md"
HEAD = """| measured | it takes | against | which takes | ratio | aim | verdict |
|---|---|---|---|---|---|---|"""
IN_README = re.compile(r"(?<=<!-- by make bench -->\n)(?:- .*\n)*")


class Row(BaseModel):
    """One measurement, and the peer or limit that it is compared with. Both are of the same run, in the same *unit*."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    value: float
    unit: str
    against: str
    peer: float
    aim: float | None = None
    """The ratio to reach; None where the row only says what something costs."""
    at_least: bool = False
    """Whether the ratio shall be the aim or more, rather than the aim or less."""

    @property
    def ratio(self) -> float:
        """The value divided by the peer's."""
        return self.value / self.peer

    @property
    def part_of_aim(self) -> float:
        """How much of what the aim allows is used up: more than 1 is too much. Raises TypeError without an aim."""
        if self.aim is None:
            raise TypeError(f"{self.what} has no aim")
        return self.aim / self.ratio if self.at_least else self.ratio / self.aim

    @property
    def verdict(self) -> str:
        """Whether the aim is met, and if not by how much it is missed."""
        if self.aim is None:
            return "-"
        missed = self.ratio < self.aim if self.at_least else self.ratio > self.aim
        by = abs(self.ratio / self.aim - 1)
        return f"missed by {by:,.{0 if by >= 0.01 else 2}%}" if missed else "met"

    @property
    def aim_in_words(self) -> str:
        """Such as "≤ 2"."""
        return "-" if self.aim is None else f"{'≥' if self.at_least else '≤'} {self.aim:g}"

    @property
    def line(self) -> str:
        """The row as markdown."""
        cells = (
            *(self.what, f"{figure(self.value)} {self.unit}", self.against, f"{figure(self.peer)} {self.unit}"),
            *(figure(self.ratio), self.aim_in_words, self.verdict),
        )
        return f"| {' | '.join(cells)} |"

    @property
    def item(self) -> str:
        """The row as an item of the README's list."""
        return f"- {self.what}: {figure(self.ratio)} times {self.against} (aim {self.aim_in_words}: {self.verdict})"


class Results(BaseModel):
    """One run of `make bench`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: date
    python: str
    prefect: str
    cpus: int
    memory_gib: float
    seconds: float
    """How long the whole bench took."""
    load: tuple[float, float]
    """The machine's load average over fifteen minutes, before and after."""
    rows: tuple[Row, ...]

    def in_readme(self) -> str:
        """The README's lines: the two rows that are best against their aims, and the worst."""
        ranked = sorted((row for row in self.rows if row.aim is not None), key=lambda row: row.part_of_aim)
        chosen: Sequence[Row] = [*ranked[:2], *ranked[2:][-1:]]
        return "".join(f"{row.item}\n" for row in chosen)

    def page(self) -> str:
        """BENCHMARKS.md."""
        return "\n".join([INTRODUCTION, self._machine, "", HEAD, *(row.line for row in self.rows), "", READING])

    def write(self) -> None:
        """Write the page, the numbers and the README's lines."""
        RESULTS.write_text(self.model_dump_json(indent=2) + "\n")
        PAGE.write_text(self.page())
        README.write_text(IN_README.sub(lambda _: self.in_readme(), README.read_text()))

    @property
    def _machine(self) -> str:
        before, after = self.load
        return (
            f"Measured on {self.date}, in {self.seconds / 60:.0f} minutes, with Python {self.python} and Prefect "
            f"{self.prefect}, on {self.cpus} CPUs\nand {self.memory_gib:.0f} GiB; the machine's load was "
            f"{before:.1f} before and {after:.1f} after."
        )


def committed() -> Results:
    """The results that the page was written from."""
    return Results.model_validate_json(RESULTS.read_text())


def figure(number: float) -> str:
    """Three digits, or all before the point."""
    if number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.2f}" if abs(number) < 10 else f"{number:.1f}"


INTRODUCTION = """# Benchmarks

What cleanups cost, each measured beside something that does the same without us, or beside a limit. `make bench` writes
this page, `results.json` and three lines of the README from one run on one machine. Close is the
[sandbox](../../deployments/sandbox/README.md): how fast Close itself deletes and exports isn't measured here.
"""

READING = """How to read it:

- A ratio is what we take, divided by what the other takes. A row without an aim only says what something costs.
- Times of cleanups are medians of runs that alternate with the empty flow and the script, in a process that has done
  each before. Close's rate limits are on, and each run begins with windows of its own. *Without Close's jobs*: less the
  time that the sandbox says its export and its bulk delete took.
- The empty flow has the same Prefect server, with SQLite as `make server` starts it, and as many tasks, which do
  nothing. Heartbeats are off in both.
- The straightforward script uses Close's own Python client: it counts, starts a bulk delete, and polls each second
  until it is done. It has no keep rules, limits, backup, record, check or report, and does not survive its process.
- Polling: several bulk deletes of different lengths, each watched in all three ways at once. Late is the time between
  Close's end and the answer that shows it.
- A backup is downloaded, checked lead by lead, written, and read back; curl and gzip download and compress the same
  file.
- The rate that Close allows: the requests that were made, by the time that its rate limits need for them in windows.
- The worker's runs each have an organisation, a process and a bulk delete of ten seconds of their own. The worker looks
  for runs every 2 seconds. A single run is one that has the worker for itself, from being created to its end.
- Commands of the terminal are processes; their time is the median of the CPU's, and they alternate with their peers.
- Memory is the peak of a process that does this alone: VmHWM of Linux. For a worker it is the sum of its processes'
  proportional shares (PSS).
"""
