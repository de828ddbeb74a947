"""When to poll Close next about a bulk delete or an export."""

from dataclasses import dataclass

from tasks.close.resources import BulkDelete, Export


@dataclass
class Pace:
    """The pace of polls: half of the remaining time at the rate so far, and ever slower while nothing changes."""

    started: float
    """When the wait began, in seconds of the clock that `next` is called with."""
    soonest: float = 0.5
    """Seconds."""
    latest: float = 30.0
    """Seconds."""
    _from: tuple[int, float] | None = None  # leads processed when the total was first known, and when that was
    _last: tuple[int, float] = (0, 0.0)  # leads processed at the latest change, and when that was

    def next(self, job: BulkDelete | Export | None, now: float) -> float:
        """Return the seconds until the next poll, between *soonest* and *latest*. *job* is None if it can't be read."""
        if job is None or job.total is None:
            return self._bounded((now - self.started) / 2)
        if self._from is None:
            self._from = self._last = job.processed, now
        if job.processed != self._last[0]:
            self._last = job.processed, now
        still = (now - self._last[1]) / 2
        seen = job.processed - self._from[0]
        if seen <= 0:
            return self._bounded(still)
        rate = seen / max(self._last[1] - self._from[1], self.soonest)
        return self._bounded(max((job.total - job.processed) / rate / 2, still))

    def _bounded(self, seconds: float) -> float:
        return min(max(seconds, self.soonest), self.latest)
