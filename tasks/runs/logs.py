"""Logs that a person can read: an end that was foreseen is one line, not a traceback.

Tasks end a run by raising `Stop` or a `CloseError`, and a failed run holds `Unsuccessful`. Prefect logs every exception
of a task or a flow with its traceback; for these the message says all there is.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from prefect import get_run_logger

from tasks.close.errors import CloseError
from tasks.runs.outcomes import Foreseen, Stop

LOGGERS = ("prefect.task_runs", "prefect.flow_runs")
QUEUES = ("APILogWorker", "EventsWorker")
"""What of Prefect says at each end of a process how much it has still to send."""


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
        get_run_logger().warning("%s could not be written down: %s", what, error)
