"""The log of a run, as a person reads it in Prefect: how each step gets on, and nobody's name."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Cancelling
from support.attempts import created, wait_until
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock

from flows.lead_cleanup import lead_cleanup
from tasks.bulk_delete.cancel import pause_when_cancelled

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]


@pytest.fixture(autouse=True)
def logs_go_to_prefect(prefect_server: str) -> Iterator[None]:
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        yield


def log_of(run_id: UUID, last: str) -> list[Log]:
    """What the Prefect server has in the run's log, once that holds what is said *last*."""
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    found: list[Log] = []

    def there() -> bool:
        found[:] = prefect.read_logs(wanted, limit=200)
        return any(last in each.message for each in found)

    with get_client(sync_client=True) as prefect:
        wait_until(there)
    return found


def test_a_run_says_in_its_log_that_it_tries_again_and_how_far_it_is_and_names_nobody(
    sandbox: CloseAccount, run_cleanup: Callable[..., Any], fake_clock: FakeClock
):
    """By Close's client, which knows nothing of Prefect, as well as by the tasks; each beside its task."""
    sandbox.add(lead("Zanzibar Trading", "Junk"), lead("Zanzibar Shipping"))
    sandbox.fault("POST", "/data/search/", "status", status=503)
    sandbox.fault("GET", "/bulk_action/delete/bulkdelete_", "status", times=40, status=503)

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    log = log_of(UUID(report.flow_run_id), "Deleted. 1 lead is deleted.")
    said = [each.message for each in log if each.name.startswith("tasks.") and each.task_run_id]
    assert sum(text.startswith("POST /data/search/ has no usable answer. Trying again in ") for text in said) == 1
    assert any("Could not ask Close, which keeps deleting meanwhile: " in text for text in said)
    assert said.count("1 of 1 lead deleted.") == 1
    assert not [each.message for each in log if "Zanzibar" in each.message]
    assert not [each.message for each in log if each.message.startswith("Finished in state")]
    [end] = [each.message for each in log if each.message.startswith("Deleted. ")]
    assert re.search(r" Report: http://\S+/artifacts/artifact/[0-9a-f-]{36}$", end)


def test_what_prefect_calls_when_a_run_is_cancelled_speaks_in_the_log_of_that_run():
    """Though it is called where no run is under way."""
    run = created({"match": {"status": ["Junk"]}})

    pause_when_cancelled(lead_cleanup, run, Cancelling())

    assert log_of(run.id, "Cancelled before anything was started: nothing was deleted.")


def test_what_is_said_outside_of_runs_is_no_matter_to_prefect():
    """It would complain that it doesn't know the run; here that would be an error."""
    logging.getLogger("tasks.close.transport").info("GET me/ has no usable answer. Trying again in 1.0 s.")
