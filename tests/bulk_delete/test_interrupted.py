"""A process that is terminated asks Close to pause only if a person has cancelled the run: once, without waiting."""

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


def terminated(close: CloseAccount, run: Run, job: str, *, known: bool = True) -> None:
    """The run's process gets SIGTERM. It knows its bulk delete, or else only the ledger does."""
    counts = Counts(total=20, matched=20, kept={"total": 0}, planned=20)
    organization = close.get("/status/lead/")["data"][0]["organization_id"]
    facts: dict[str, Any] = {"organization": "Sandbox", "user_id": "user_1", "as_of": run.as_of, "counts": counts}
    end = CleanupEnding(run)
    end.plan = Plan.of(QUERY, organization, **facts)
    if known:
        end.bulk_delete_id = job
    else:
        ledger.update(ledger.claim(ledger.next_claim(run, end.plan, None, None)), bulk_delete_id=job)
    with pytest.raises(TerminationSignal), end:
        raise TerminationSignal(15)


@pytest.mark.parametrize("state", [Cancelling(), Cancelled()], ids=lambda state: str(state.name))
def test_cancelled_it_asks_close_once_and_says_how_far_it_had_got(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun, state: State[Any]
) -> None:
    prefect.set_flow_run_state(found.id, state, force=True)

    terminated(sandbox, run_of(found, "junk"), job)

    assert (status(sandbox), sandbox.puts()) == ("paused", 1)
    assert f"Cancelled: Close was asked to pause bulk delete {job} at " in recall_report(found.id)["message"]


def test_what_only_the_ledger_knows_is_paused_too(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun
) -> None:
    """Prefect doesn't return what a task has returned, if the run was suspended meanwhile."""
    prefect.set_flow_run_state(found.id, Cancelled(), force=True)

    terminated(sandbox, run_of(found, "junk"), job, known=False)

    assert (status(sandbox), sandbox.puts()) == ("paused", 1)
    report = recall_report(found.id)
    assert (report["outcome"], report["bulk_delete_id"]) == ("cancelled", job)


def test_where_close_does_not_answer_it_does_not_ask_again(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun
) -> None:
    """Prefect's hook is the second chance, in a process that has the time."""
    prefect.set_flow_run_state(found.id, Cancelling(), force=True)
    sandbox.fault("PUT", "/bulk_action/delete/", "status", times=5, status=503)

    terminated(sandbox, run_of(found, "junk"), job)

    assert (status(sandbox), sandbox.puts()) == ("processing", 1)


def test_without_a_cancel_it_leaves_close_alone(sandbox: CloseAccount, job: str, found: FlowRun) -> None:
    """A worker that is updated, a container that stops."""
    terminated(sandbox, run_of(found, "junk"), job)

    assert (status(sandbox), sandbox.puts()) == ("processing", 0)
    with pytest.raises(Refused, match="has published no report"):
        recall_report(found.id)


def test_where_prefect_cannot_be_read_it_leaves_close_alone(
    sandbox: CloseAccount, job: str, prefect: SyncPrefectClient, found: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect.set_flow_run_state(found.id, Cancelling(), force=True)
    with monkeypatch.context() as away:
        away.setattr("tasks.runs.connect.get_client", lambda **_: SyncPrefectClient("http://127.0.0.1:9/api"))  # pyright: ignore

        terminated(sandbox, run_of(found, "junk"), job)

    assert (status(sandbox), sandbox.puts()) == ("processing", 0)
