"""An end that was foreseen is one line in the log; what nobody foresaw keeps its traceback."""

import logging

import pytest

from tasks.close.errors import CloseUnavailable
from tasks.runs.logs import LOGGERS, OneLine, log_expected_errors_in_one_line
from tasks.runs.outcomes import Refused


@pytest.fixture
def logger() -> logging.Logger:
    """A logger that isn't Prefect's: those send to a server, and want to be in a run."""
    found = logging.getLogger("tests.quiet")
    found.addFilter(OneLine())
    return found


def _log(logger: logging.Logger, error: Exception) -> None:
    try:
        raise error
    except type(error):
        logger.exception("Task run failed with exception: %r", error)


@pytest.mark.parametrize("error", [Refused("Too many."), CloseUnavailable("Too many.")])
def test_an_end_that_was_foreseen_is_its_message(
    logger: logging.Logger, error: Exception, caplog: pytest.LogCaptureFixture
):
    _log(logger, error)

    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info) == ("Too many.", None)


def test_a_defect_keeps_its_traceback(logger: logging.Logger, caplog: pytest.LogCaptureFixture):
    _log(logger, KeyError("x"))

    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage().startswith("Task run failed")


@pytest.mark.parametrize("name", LOGGERS)
def test_hushing_twice_is_hushing_once(name: str):
    log_expected_errors_in_one_line()
    log_expected_errors_in_one_line()

    assert sum(isinstance(each, OneLine) for each in logging.getLogger(name).filters) == 1
