"""The command line as a person meets it: words in; exit code, stdout and stderr out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox.server import Sandbox

if TYPE_CHECKING:
    from support.terminal_processes import Start


@pytest.fixture
def start(prefect_server: str) -> "Iterator[Start]":
    """Starts the command line in processes of their own."""
    from support.terminal_processes import processes

    with processes(prefect_server) as starts:
        yield starts


@pytest.fixture
def sandbox_slow() -> Iterator[str]:
    """The address of a sandbox of its own, whose bulk deletes take a while."""
    with Sandbox(leads=300, leads_per_second=4) as server:
        yield server.url
