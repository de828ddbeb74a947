"""Logs that a person can read: each step says there how it gets on, and an end that was foreseen is one line.

Each module says to its own logger what happens on the way; from here that goes to the log of the run in which it is
said. (Prefect's own way, PREFECT_LOGGING_EXTRA_LOGGERS, must be set in every process before it imports Prefect, keeps
back what is no warning, and complains about what is said outside of a run.)

Tasks end a run by raising `Stop` or a `CloseError`, and a failed run holds `Unsuccessful`. Prefect logs every exception
of a task or a flow with its traceback; for these the message says all there is.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_LOGGING_LEVEL

from tasks.close.errors import CloseError
from tasks.runs.outcomes import Foreseen, Stop

OURS = "tasks"
"""The logger above those of our modules."""
LOGGERS = ("prefect.task_runs", "prefect.flow_runs")
QUEUES = ("APILogWorker", "EventsWorker")
"""What of Prefect says at each end of a process how much it has still to send."""


logger = logging.getLogger(__name__)

_run_id: ContextVar[UUID | None] = ContextVar("run_id", default=None)


class RunLog(APILogHandler):
    """Sends what is said in a run to the log of that run; what is said outside of runs, to nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send it, if there is a run."""
        if run_id := _run_id.get():
            vars(record)["flow_run_id"] = str(run_id)
        if run_id or FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


logging.getLogger(OURS).addHandler(RunLog())
logging.getLogger(OURS).setLevel(PREFECT_LOGGING_LEVEL.value())


@contextmanager
def in_log_of(run_id: UUID) -> Generator[None]:
    """A block whose messages go to the log of that run, though it isn't under way here: so it is in a hook."""
    before = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(before)


class OneLine(logging.Filter):
    """Turns the record of an end that was foreseen into its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without the traceback where it was foreseen."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Foreseen | CloseError):
            record.msg, record.args, record.exc_info = str(error), (), None
        return True


_one_line = OneLine()


def log_expected_errors_in_one_line() -> None:
    """Keep the tracebacks of foreseen ends out of the logs, on the server and on the console. Once or often."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_one_line)
    for name in QUEUES:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def log_if_it_fails(what: str) -> Generator[None]:
    """Writing that must not change the outcome: log that *what* couldn't be written, and go on."""
    try:
        yield
    except Stop as error:
        logger.warning("%s could not be written down: %s", what, error)
