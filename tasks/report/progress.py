"""How far a step is, and how long it may still take: in the log, in a progress artifact, and as a bar at a terminal."""

import logging
from collections import deque
from collections.abc import Callable
from uuid import UUID

from prefect.client.schemas.actions import ArtifactUpdate

from tasks.report.artifacts import publish
from tasks.report.step import Step
from tasks.runs.connect import prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.own_state import own_run
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

RECENT, RECENT_SECONDS = 20, 60.0
"""How many of the last numbers tell the pace, or those of a minute, if they are more.

Jobs speed up and slow down; and a restore creates many leads at once, and then waits for Close's rate limit.
"""
SELDOM = 10.0
"""Seconds between lines in the log on what moves all the time."""


watch: Callable[[Step], None] | None = None
"""Sees every step of this process, where a person watches."""


class Progress:
    """Shows how many leads are *verb*, such as ``deleted``, by the seconds of *clock*.

    The log and the artifact change when the number does, at most once in *every* so many seconds.
    """

    def __init__(self, verb: str, clock: Callable[[], float], every: float = SELDOM) -> None:
        self._verb = verb
        self._clock = clock
        self._every = every
        self._due = clock() + every
        self._seen = deque[tuple[float, int]]()
        self._run_id = own_run()
        self._artifact: UUID | None = None

    def show(self, done: int, total: int | None) -> None:
        """Show that so many are *done*, if that is news."""
        now = self._clock()
        if not total or (self._seen and self._seen[-1][1] == done):
            return
        self._seen.append((now, done))
        while len(self._seen) > RECENT and self._seen[1][0] <= now - RECENT_SECONDS:
            self._seen.popleft()
        step = Step(self._verb, done, total, self._pace())
        if watch:
            watch(step)
        if now >= self._due or (self._artifact and done >= total):
            self._due = now + self._every
            left = f", {step.left}" if step.left else ""
            logger.info("%s of %s %s%s.", f"{done:,}", counted(total, "lead"), self._verb, left, extra={"step": step})
            with log_if_it_fails("Publishing the progress"):
                self._publish(step)

    def _pace(self) -> float | None:
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - began) if now > began and done > before else None

    def _publish(self, step: Step) -> None:
        if self._run_id is None:
            return
        if self._artifact is None:
            self._artifact = publish(self._run_id, "progress", step.percent, description=str(step))
            return
        with prefect() as server:
            server.update_artifact(self._artifact, ArtifactUpdate(data=step.percent, description=str(step)))
