"""The command line as a person meets it: words in; exit code, stdout and stderr out."""

from collections.abc import Iterator

import pytest
from support.terminal_session import Command, Said

from deployments.sandbox.server import Sandbox
from flows import cli


@pytest.fixture
def lead_cleanup(capsys: pytest.CaptureFixture[str]) -> Command:
    """Calls ``lead-cleanup`` with these words, in this process."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = cli.call(words)
        out, err = capsys.readouterr()
        return Said(code, str(out), str(err))

    return call


@pytest.fixture
def sandbox_slow() -> Iterator[str]:
    """The address of a sandbox of its own, whose bulk deletes take a while."""
    with Sandbox(leads=300, leads_per_second=4) as server:
        yield server.url
