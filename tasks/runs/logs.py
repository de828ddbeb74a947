"""Logs for people: the progress of each step, and one line for an expected end.

Modules log to loggers of their own; a handler here sends their records to the log of the current run. (Prefect's own
PREFECT_LOGGING_EXTRA_LOGGERS must be set in every process before it imports Prefect, drops everything below a warning,
and complains about records outside of a run.)

Tasks end a run by raising `Stop` or a `CloseError`, and a failed run's state holds `Unsuccessful`. Prefect logs every
exception of a task or a flow with its traceback; for these expected ends, and when its server is lost, only a sentence
is logged.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import httpx
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_LOGGING_LEVEL

from tasks.close.errors import CloseError
from tasks.runs.outcomes import Foreseen, Stop
from tasks.runs.prefect_errors import prefect_error

OURS = "tasks"
"""The parent of our modules' loggers."""
LOGGERS = ("prefect.task_runs", "prefect.flow_runs")
"""Prefect's loggers that log exceptions of tasks and flows."""
FINISHED = "Finished in state "
"""What Prefect logs at the end of every task and flow, as its pages show. Our own line at a run's end says more."""
QUEUES = ("APILogWorker", "EventsWorker")
"""Prefect's loggers that report, whenever a process ends, what is still to be sent."""

logger = logging.getLogger(__name__)

_run_id: ContextVar[UUID | None] = ContextVar("run_id", default=None)


class RunLog(APILogHandler):
    """Sends records to the log of the current run; drops those outside of runs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*, if there is a run."""
        if run_id := _run_id.get():
            vars(record)["flow_run_id"] = str(run_id)
        if run_id or FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


logging.getLogger(OURS).addHandler(RunLog())
logging.getLogger(OURS).setLevel(PREFECT_LOGGING_LEVEL.value())


@contextmanager
def in_log_of(run_id: UUID) -> Generator[None]:
    """Send the block's records to the log of that run, where it isn't the current run: in a hook."""
    before = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(before)


class OneLine(logging.Filter):
    """Leaves out that a task or a flow has finished, and reduces the record of an expected end to its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass all other records, without the traceback of an expected end."""
        if str(record.msg).startswith(FINISHED):
            return False
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, httpx.HTTPError):  # the Prefect server was lost; errors of Close are a CloseError
            error = prefect_error(error)
        if isinstance(error, Foreseen | CloseError):
            record.msg, record.args, record.exc_info = str(error), (), None
        return True


_one_line = OneLine()


def log_expected_errors_in_one_line() -> None:
    """Keep the tracebacks of expected ends out of the logs, on the server and the console. Safe to call repeatedly.

    Also silences what Prefect's log and event queues report at the end of a process.
    """
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_one_line)
    for name in QUEUES:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def log_if_it_fails(what: str) -> Generator[None]:
    """Log that *what* failed instead of raising `Stop`, for writing that must not change the outcome."""
    try:
        yield
    except Stop as error:
        logger.warning("%s failed: %s", what, error)
