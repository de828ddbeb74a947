"""The fault matrix: whatever goes wrong at whichever step, a run deletes at most once and says what became of it.

Each row is lived through: a run meets the fault; when all is well again the same run is tried again; and where it ends
``unknown`` a person lets it start once more. What comes out stands in MATRIX.md, which is held against what happens.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults.happening import PARAMETERS, Happening, World, at_close, at_prefect, rows
from faults.table import Row, check, count_of
from prefect.client.orchestration import SyncPrefectClient
from support.attempts import start_again, tried_again
from support.close_account import CloseAccount, lead
from support.proxy import Proxy

from tasks.runs.outcomes import Outcome

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

HAPPENINGS = [*at_close(), *at_prefect()]


@pytest.fixture
def world(sandbox: CloseAccount, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Three leads to delete among five, and a server in front of Close and of the Prefect server's ledger."""
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"), lead("E"))
    sandbox.jobs(created_seconds=0.02, loading_seconds=0.02)
    with Proxy(sandbox.url) as close, Proxy(prefect_server) as prefect:
        monkeypatch.setenv("CLOSE_API_URL", f"{close.address}/api/v1/")

        def through_the_front(*, sync_client: bool) -> SyncPrefectClient:
            assert sync_client
            return SyncPrefectClient(f"{prefect.address}/api")

        monkeypatch.setattr("tasks.runs.connect.get_client", through_the_front)
        monkeypatch.setattr("tasks.runs.connect.REWRITE_SECONDS", 0.05)
        monkeypatch.setattr("tasks.runs.connect.WRITE_SECONDS", 0.2)
        with pytest.MonkeyPatch.context() as temporary:
            yield World(sandbox, close, prefect, temporary)


class Tracebacks(logging.Handler):
    """Collects what was logged with a traceback: nobody foresaw it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(record.getMessage())


@pytest.fixture
def tracebacks() -> Iterator[list[str]]:
    handler = Tracebacks()
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for each in loggers:
        each.addHandler(handler)
    yield handler.found
    for each in loggers:
        each.removeHandler(handler)


def parameters() -> list[Any]:
    """With `make test` those rows that say more than others do, with `make test-all` every one."""
    marks = {True: [], False: [pytest.mark.exhaustive]}
    return [pytest.param(each, id=each.id, marks=marks[each.telling]) for each in HAPPENINGS]


@pytest.mark.parametrize("happening", parameters())
def test_what_happens(
    happening: Happening, world: World, run_cleanup: Callable[..., Any], tracebacks: list[str]
) -> None:
    happening.bring_about(world)
    first = run_cleanup(**PARAMETERS).report
    world.mend()
    started, left = bulk_deletes(world), junk(world)
    sent = max(posts(world), len(started))  # one whose answer is late isn't in the journal yet
    again = tried_again(first.flow_run_id)
    third = start_again(again.flow_run_id or "") if again.outcome is Outcome.UNKNOWN else None

    last = third or again
    assert tracebacks == []
    assert len(started) <= 1
    assert first.outcome != "deleted" or left == 0
    assert len(bulk_deletes(world)) == 1
    assert last.outcome == "deleted"
    assert junk(world) == 0
    assert len(world.close.leads()) == 2
    row = Row(
        happening.stage,
        happening.fault,
        first.outcome,
        count_of(sent, len(started)),
        again.outcome,
        third.outcome if third else "",
    )
    check(row, rows())


def bulk_deletes(world: World) -> list[dict[str, Any]]:
    """Every bulk delete that Close has accepted."""
    return world.close.get("/bulk_action/delete/")["data"]


def posts(world: World) -> int:
    """How often a bulk delete was asked for."""
    return len(world.close.posts("/bulk_action/delete/"))


def junk(world: World) -> int:
    """How many leads are left to delete."""
    return sum(each["status_label"] == "Junk" for each in world.close.leads().values())
