"""What the end of a run rests on: states with names of ours, the exceptions in them, and where Prefect logs those.

Each test says in its assertion what of ours would break.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from contract_runs import wait_for
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.exceptions import Abort
from prefect.settings import PREFECT_FLOW_DEFAULT_RETRIES, temporary_settings
from prefect.states import Completed, Failed

from tasks.close.errors import CloseUnavailable
from tasks.runs.logs import LOGGERS
from tasks.runs.retries import reads
from tasks.runs.run import this_run

pytestmark = [
    pytest.mark.server,
    pytest.mark.exhaustive,
    pytest.mark.xdist_group("prefect_contract"),
    pytest.mark.usefixtures("here"),
]


class Unsuccessful(Exception):
    """An end that was foreseen."""


def read_state(prefect: SyncPrefectClient, state: State[Any]) -> State[Any]:
    """The state of the same run as the server has it."""
    run_id = state.state_details.flow_run_id
    assert run_id
    stored = prefect.read_flow_run(run_id).state
    assert stored
    return stored


def test_a_flow_that_returns_failed_ends_failed_with_its_name_and_its_exception(prefect: SyncPrefectClient) -> None:
    """Rests on it: a refusal is called Refused in the UI, counts as failed, and still carries its report."""

    @flow(persist_result=False)
    def refuses() -> State[Any]:
        return Failed(name="Refused", message="Too many.", data=Unsuccessful("Too many."))

    state = refuses(return_state=True)

    stored = read_state(prefect, state)
    assert (stored.name, stored.type.value, stored.message) == ("Refused", "FAILED", "Too many."), (
        "A returned Failed state loses its name, type or message: tasks/report/ending.py can't say how a run ended, "
        "and a refusal could pass for a success."
    )
    assert isinstance(state.result(raise_on_failure=False), Unsuccessful), (
        "The exception in a Failed state doesn't come back: ending.report_of finds no report, and the command line "
        "calls every refusal a defect."
    )


def test_a_flow_of_no_retries_that_returns_failed_is_not_run_again_whatever_the_default_is() -> None:
    """Rests on it: an end is an end. Since 3.9.1 Prefect runs a flow again also when it has returned Failed."""
    begun: list[str] = []

    with temporary_settings({PREFECT_FLOW_DEFAULT_RETRIES: 2}):

        @flow(retries=0, persist_result=False)
        def refuses() -> State[Any]:
            begun.append("ours")
            return Failed(name="Refused", message="Too many.", data=Unsuccessful("Too many."))

        @flow(persist_result=False)
        def others() -> State[Any]:
            begun.append("theirs")
            return Failed(message="Too many.")

        refuses(return_state=True)
        others(return_state=True)

    assert begun == ["ours", "theirs", "theirs", "theirs"], (
        "`retries=0` of flows/lead_cleanup.py doesn't make the end of a run final: what was declined would ask again, "
        "and what is unknown would look for its bulk delete again, at once."
    )


def test_a_flow_that_returns_completed_ends_completed_with_its_name_and_its_value(prefect: SyncPrefectClient) -> None:
    """Rests on it: a dry run and a deletion both succeed, and can be told apart in the UI."""

    @flow(persist_result=False)
    def plans() -> State[Any]:
        return Completed(name="DryRun", message="3 leads.", data={"planned": 3})

    state = plans(return_state=True)

    stored = read_state(prefect, state)
    assert (stored.name, stored.type.value, stored.message) == ("DryRun", "COMPLETED", "3 leads."), (
        "A returned Completed state loses its name, type or message: a dry run can't be told from a deletion."
    )
    assert state.result(raise_on_failure=False) == {"planned": 3}, (
        "The value in a Completed state doesn't come back: ending.report_of finds no report."
    )


class Heard(logging.Filter):
    """Remembers the exceptions in the records that pass, where tasks/runs/logs.py would shorten them."""

    def __init__(self) -> None:
        super().__init__()
        self.exceptions: list[BaseException | None] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            self.exceptions.append(record.exc_info[1])
        return True


@pytest.fixture
def heard() -> Iterator[dict[str, Heard]]:
    filters = {name: Heard() for name in LOGGERS}
    for name, each in filters.items():
        logging.getLogger(name).addFilter(each)
    yield filters
    for name, each in filters.items():
        logging.getLogger(name).removeFilter(each)


def test_what_a_task_or_a_flow_raises_is_logged_by_the_loggers_that_we_hush(heard: dict[str, Heard]) -> None:
    """Rests on it: an end that was foreseen is one line in the log, without a traceback."""
    error = Unsuccessful("Too many.")

    @task(retries=0, cache_policy=NO_CACHE, persist_result=False)
    def fails() -> None:
        raise error

    @flow(persist_result=False)
    def runs() -> None:
        fails()

    runs(return_state=True)

    silent = [name for name in LOGGERS if error not in heard[name].exceptions]
    assert not silent, (
        f"{' and '.join(silent)} no longer log what is raised: tasks/runs/logs.py filters nothing there, and every "
        "refusal shows a traceback."
    )


def test_a_flow_that_aborts_in_a_task_leaves_the_state_of_its_run_alone(prefect: SyncPrefectClient) -> None:
    """Rests on it: an attempt that a later one supersedes ends without a word. A worker sees it exit with 0."""
    runs: list[UUID] = []

    @task(cache_policy=NO_CACHE, persist_result=False)
    def is_superseded() -> None:
        raise Abort("A later attempt has taken over.")

    @flow(persist_result=False)
    def aborts() -> None:
        runs.append(this_run().id)
        is_superseded()

    with pytest.raises(Abort):
        aborts()

    assert prefect.read_flow_run(runs[0]).state_name == "Running", (
        "An attempt that aborts changes the state of its run: one that was asleep would call a run failed that a later "
        "attempt has ended well."
    )


def test_a_task_that_reads_is_shown_as_awaiting_its_retry_and_then_as_retrying(
    prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rests on it: a person who looks at a run during an outage sees that it continues by itself, and when."""
    monkeypatch.setenv("CLOSE_RETRY_DELAYS", "1,1")
    runs_seen: list[UUID] = []

    @reads
    def looks() -> None:
        context = TaskRunContext.get()
        assert context
        runs_seen.append(context.task_run.id)
        if len(runs_seen) < 3:
            raise CloseUnavailable("Close is away.", status=503)

    @flow(persist_result=False)
    def runs() -> None:
        looks()

    runs()

    def states() -> list[State[Any]] | None:
        found = sorted(prefect.read_task_run_states(runs_seen[0]), key=lambda state: state.timestamp)
        return found if len(found) >= 7 and found[-1].is_final() else None

    shown = wait_for("The states of a task are stored", states)
    assert len(set(runs_seen)) == 1, "A retry is another task run: the UI shows a step for every try."
    assert [state.name for state in shown] == [
        *("Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Completed")
    ], "A task that waits for its retry isn't shown as AwaitingRetry: tasks/runs/retries.py says that it is."
    waits = [after.timestamp - state.timestamp for state, after in pairwise(shown) if state.name == "AwaitingRetry"]
    assert min(waits) >= timedelta(seconds=0.5), "A retry doesn't wait for its delay: an outage outlives all of them."
