"""How far a step is, how fast it goes, and how long it may still take."""

import math
from typing import NamedTuple

from tasks.runs.wording import counted


class Step(NamedTuple):
    """How far a step is."""

    verb: str
    """What it does with leads, as in ``deleted``."""
    done: int
    total: int
    pace: float | None = None
    """Leads a second; None if nothing is known of that."""

    @property
    def percent(self) -> float:
        """How much of it is done."""
        return min(100 * self.done / self.total, 100.0)

    @property
    def left(self) -> str:
        """How long it may still take, in words; empty if that isn't known, or it is done."""
        if not self.pace or self.done >= self.total:
            return ""
        minutes = (self.total - self.done) / self.pace / 60
        if minutes < 1:
            return "less than a minute left"
        return f"{counted(math.ceil(minutes), 'minute') if minutes < 90 else counted(round(minutes / 60), 'hour')} left"

    @property
    def rate(self) -> str:
        """Its pace in words; empty if that isn't known."""
        if not self.pace:
            return ""
        return f"{self.pace:,.0f} a second" if self.pace >= 10 else f"{counted(round(60 * self.pace), 'lead')} a minute"

    def __str__(self) -> str:
        reached = f"{self.done:,} of {counted(self.total, 'lead')}"
        return f"{reached}, {self.left}" if self.left else reached
