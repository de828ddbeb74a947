"""When to ask Close next about a job that takes its time."""

from dataclasses import dataclass

from tasks.close.resources import BulkDelete, Export


@dataclass
class Pace:
    """When to ask next: half the time that is left at the rate seen so far, and ever later while nothing moves."""

    started: float
    """When (seconds) the wait began."""
    soonest: float = 0.5
    latest: float = 30.0
    _from: tuple[int, float] | None = None  # where it stood when we first saw it deleting, and when that was
    _last: tuple[int, float] = (0, 0.0)  # where it stood last, and since when

    def next(self, job: BulkDelete | Export | None, now: float) -> float:
        """Seconds until the next question, between *soonest* and *latest*."""
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
