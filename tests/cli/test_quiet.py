"""An end that was foreseen is one line in the log; what nobody foresaw keeps its traceback."""

import logging

import pytest

from tasks.close.errors import CloseUnavailable
from tasks.outcomes import Refused
from tasks.quiet import LOGGERS, hush


@pytest.fixture(params=LOGGERS)
def logger(request: pytest.FixtureRequest) -> logging.Logger:
    hush()
    return logging.getLogger(request.param)


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


def test_hushing_twice_is_hushing_once(logger: logging.Logger):
    before = len(logger.filters)

    hush()

    assert len(logger.filters) == before
