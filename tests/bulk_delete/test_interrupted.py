"""A process that is terminated asks Close to pause only if a person has cancelled the run, and says what came of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Cancelling, Pending, Running
from support.attempts import created, wait_until
from support.close_account import CloseAccount, lead

from tasks.bulk_delete.ending import CleanupEnding
from tasks.ledger import store as ledger
from tasks.plan.model import Counts, Plan
from tasks.report.artifacts import recall_report
from tasks.runs.outcomes import Refused
from tasks.runs.run import Run, run_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

QUERY = {"type": "object_type", "object_type": "lead"}


@pytest.fixture
def job(sandbox: CloseAccount) -> str:
    """The id of a bulk delete that is under way."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(20)))
    sandbox.jobs(leads_per_second=1)
    started = sandbox.post("/bulk_action/delete/", s_query=QUERY, results_limit=None, sort=[])
    wait_until(lambda: status(sandbox) == "processing")
    return started["id"]


@pytest.fixture
def prefect(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def found(prefect: SyncPrefectClient) -> FlowRun:
    """A run that is running."""
    run = created({"match": {"status": ["Junk"]}})
    for state in (Pending(), Running()):
        prefect.set_flow_run_state(run.id, state)
    return run


def status(close: CloseAccount) -> str:
    [job] = close.get("/bulk_action/delete/")["data"]
    return job["status"]


def deleting(close: CloseAccount, run: Run, job: str, *, known: bool = True, recorded: bool = False) -> CleanupEnding:
    """A run that has claimed. Its process knows its bulk delete, or the ledger does, or neither."""
    counts = Counts(total=20, matched=20, kept={"total": 0}, planned=20)
    organization = close.get("/status/lead/")["data"][0]["organization_id"]
    facts: dict[str, Any] = {"organization": "Sandbox", "user_id": "user_1", "as_of": run.as_of, "counts": counts}
    end = CleanupEnding(run)
    end.plan = Plan.of(QUERY, organization, **facts)
    record = ledger.claim(ledger.next_claim(run, end.plan, None, None))
    if known:
        end.bulk_delete_id = job
    if recorded:
        ledger.update(record, bulk_delete_id=job)
    return end


def terminate(end: CleanupEnding) -> None:
    """What SIGTERM comes to in its process."""
    with pytest.raises(TerminationSignal), end:
        raise TerminationSignal(15)


@pytest.mark.parametrize("state", [Cancelling(), Cancelled()], ids=lambda state: str(state.name))
def test_cancelled_it_asks_close_and_says_how_far_it_had_got(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun, state: State[Any]
) -> None:
    prefect.set_flow_run_state(found.id, state, force=True)

    terminate(deleting(sandbox, run_of(found, "junk"), job))

    assert (status(sandbox), sandbox.puts()) == ("paused", 1)
    assert f"Cancelled: Close has paused bulk delete {job} at " in recall_report(found.id)["message"]


def test_what_only_the_ledger_knows_is_paused_too(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun
) -> None:
    """Prefect doesn't return what a task has returned, if the run was suspended meanwhile."""
    prefect.set_flow_run_state(found.id, Cancelled(), force=True)

    terminate(deleting(sandbox, run_of(found, "junk"), job, known=False, recorded=True))

    assert (status(sandbox), sandbox.puts()) == ("paused", 1)
    report = recall_report(found.id)
    assert (report["outcome"], report["bulk_delete_id"]) == ("cancelled", job)


@pytest.mark.parametrize("fault", [{"fault": "rate_limit", "seconds": 0.1}, {"fault": "status", "status": 503}])
def test_where_close_is_busy_it_asks_again(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun, fault: dict[str, Any]
) -> None:
    prefect.set_flow_run_state(found.id, Cancelling(), force=True)
    sandbox.fault("PUT", "/bulk_action/delete/", times=1, **fault)

    terminate(deleting(sandbox, run_of(found, "junk"), job))

    assert (status(sandbox), sandbox.puts()) == ("paused", 2)


@pytest.mark.usefixtures("fake_clock")
def test_where_close_does_not_answer_it_soon_says_so(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun
) -> None:
    """Prefect's hook is the second chance, in a process that has the time; a run without a deployment has none."""
    prefect.set_flow_run_state(found.id, Cancelling(), force=True)
    sandbox.fault("PUT", "/bulk_action/delete/", "status", times=100, status=503)

    terminate(deleting(sandbox, run_of(found, "junk"), job))

    assert status(sandbox) == "processing"
    said = recall_report(found.id)["message"]
    assert said.startswith(f"Cancelled, but Close did not pause bulk delete {job}: it is processing at ")
    assert said.endswith("and still deletes. Pause it in Close.")
    record = ledger.read(found.id)
    assert record
    assert record.cancelled_at


def test_what_nobody_knows_is_said_to_be_unknown(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun
) -> None:
    """The answer to the POST was lost, and Prefect doesn't return what a task has raised that was suspended."""
    prefect.set_flow_run_state(found.id, Cancelled(), force=True)

    terminate(deleting(sandbox, run_of(found, "junk"), job, known=False))

    assert sandbox.puts() == 0
    assert "Cancelled without knowing what it has started." in recall_report(found.id)["message"]


def test_without_a_cancel_it_leaves_close_alone(sandbox: CloseAccount, job: str, found: FlowRun) -> None:
    """A worker that is updated, a container that stops."""
    terminate(deleting(sandbox, run_of(found, "junk"), job))

    assert (status(sandbox), sandbox.puts()) == ("processing", 0)
    with pytest.raises(Refused, match="has published no report"):
        recall_report(found.id)


def test_where_prefect_cannot_be_read_it_leaves_close_alone(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect.set_flow_run_state(found.id, Cancelling(), force=True)
    end = deleting(sandbox, run_of(found, "junk"), job)
    with monkeypatch.context() as away:
        away.setattr("tasks.runs.connect.get_client", lambda **_: SyncPrefectClient("http://127.0.0.1:9/api"))  # pyright: ignore

        terminate(end)

    assert (status(sandbox), sandbox.puts()) == ("processing", 0)
