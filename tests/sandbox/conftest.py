"""A running sandbox, empty again for each test."""

from collections.abc import Iterator

import pytest
from words_for_close import Close

from deployments.sandbox.server import Sandbox


@pytest.fixture(scope="session")
def running() -> Iterator[Close]:
    with Sandbox(leads=0, leads_per_second=5000, rate_limits=False) as server:
        close = Close(server)
        yield close
        close.close()


@pytest.fixture
def close(running: Close) -> Close:
    """An organisation without leads; nothing is limited, and nothing goes wrong unless asked for."""
    running.control("POST", "reset", {"leads": 0})
    return running
