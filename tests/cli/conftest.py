"""The command line as a person meets it: words in; exit code, stdout and stderr out."""

from collections.abc import Iterator

import pytest

from deployments.sandbox.server import Sandbox


@pytest.fixture
def sandbox_slow() -> Iterator[str]:
    """The address of a sandbox of its own, whose bulk deletes take a while."""
    with Sandbox(leads=300, leads_per_second=4) as server:
        yield server.url
