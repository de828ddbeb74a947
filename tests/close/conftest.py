"""A client, a server that does as it is told, and a clock that only moves when somebody sleeps."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from scripted_close import KEY, Clock, ScriptedClose

from tasks.close.client import CloseClient
from tasks.close.settings import CloseSettings


@pytest.fixture
def server() -> Iterator[ScriptedClose]:
    with ScriptedClose() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(server: ScriptedClose, clock: Clock) -> Iterator[Callable[..., CloseClient]]:
    """Makes clients of the server, with settings to taste."""
    with ExitStack() as clients:

        def connect_with(random: Callable[[], float] = lambda: 0.5, **settings: Any) -> CloseClient:
            values: dict[str, Any] = {"api_url": server.url, "api_key": SecretStr(KEY), **settings}
            client = CloseClient(CloseSettings(**values), sleep=clock.sleep, clock=clock, random=random)
            return clients.enter_context(client)

        yield connect_with


@pytest.fixture
def close(connect: Callable[..., CloseClient]) -> CloseClient:
    return connect()
