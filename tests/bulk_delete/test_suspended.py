"""Suspended by a person in the Prefect UI: Close is asked to pause, and only a person lets the run continue."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed, Running
from support.attempts import attempt, created, suspend, suspended_attempt, tried_again, wait_until
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

from flows.lead_cleanup import lead_cleanup as flow
from tasks.bulk_delete.interrupted import pause_suspended
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.report.artifacts import recall_report
from tasks.runs.attempts import BY_AUTOMATION
from tasks.runs.run import run_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

BULK_DELETES = "/bulk_action/delete/"
LEADS = 20
PARAMETERS: dict[str, Any] = {
    "match": {"status": ["Junk"]},
    "limits": {"max_share": 1.0, "max_wait_minutes": 60},
    "dry_run": False,
    "backup": False,
}


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """More leads to delete than Close gets done before it is asked to pause; once it is resumed, it hurries."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(LEADS)), lead("A"), lead("B"))
    sandbox.jobs(stall_after=8)
    return sandbox


@pytest.fixture
def prefect(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def run(prefect: SyncPrefectClient) -> FlowRun:
    """A run of a deployment, as only those can be resumed in the UI."""
    deployment = prefect.create_deployment(prefect.create_flow(flow), f"junk-{uuid4().hex}")
    return prefect.create_flow_run_from_deployment(deployment, parameters=PARAMETERS)


def suspended_while_it_waits(close: CloseAccount, run: FlowRun) -> str:
    """The message of the report, once somebody has suspended the run while Close deletes what it has counted."""
    with ThreadPoolExecutor() as elsewhere:
        ends = elsewhere.submit(suspended_attempt, run)
        wait_until(lambda: bool((record := ledger.read(run.id)) and record.bulk_delete_id))
        wait_until(lambda: job_of(close)["n_leads"] is not None)
        suspend(run.id)
        report = ends.result()
    assert report.outcome == "suspended"
    return report.message


def job_of(close: CloseAccount) -> dict[str, Any]:
    [job] = close.get(BULK_DELETES)["data"]
    return job


def test_suspended_while_close_deletes_it_pauses_at_close_and_resume_lets_it_continue(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    said = suspended_while_it_waits(close, run)
    job, left = job_of(close), len(close.leads())
    state = prefect.read_flow_run(run.id).state_name
    prefect.resume_flow_run(run.id)
    resumed = attempt(prefect.read_flow_run(run.id))

    assert (state, job["status"], left > 2) == ("Suspended", "paused", True)
    assert said == (
        f"Suspended: Close has paused bulk delete {job['id']} at {LEADS + 2 - left} of {LEADS} leads. Resume in "
        f"Prefect, or `lead-cleanup resume {run.id}`, resumes it; after seven days Close refuses."
    )
    assert resumed
    assert (resumed.outcome, prefect.read_flow_run(run.id).run_count) == ("deleted", 1)
    assert any(note.startswith("Suspended at ") and note.endswith(", and resumed later.") for note in resumed.notes)
    assert (len(close.posts(BULK_DELETES)), close.puts()) == (1, 2)


def test_suspended_for_longer_than_prefect_allows_it_can_be_retried(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    """Prefect fails it then. A person's retry continues with the bulk delete that Close has paused."""
    suspended_while_it_waits(close, run)
    prefect.set_flow_run_state(run.id, Failed(message="The flow was paused and never resumed."), force=True)
    retried = tried_again(run.id)

    assert retried.outcome == "deleted"
    assert len(close.posts(BULK_DELETES)) == 1


def test_cancelled_right_after_it_was_suspended_it_pauses_at_close(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    """Before the run has noticed either. Prefect calls it cancelled at once, and terminates nothing."""

    def ends() -> None:
        with suppress(Pause):  # as far as Prefect has noticed
            attempt(run)

    with ThreadPoolExecutor() as elsewhere:
        ended = elsewhere.submit(ends)
        wait_until(lambda: bool((record := ledger.read(run.id)) and record.bulk_delete_id))
        suspend(run.id)
        prefect.set_flow_run_state(run.id, Cancelled())
        ended.result()

    report = recall_report(run.id)
    assert report["outcome"] in {"suspended", "cancelled"}
    assert report["bulk_delete_id"] in report["message"]
    assert (job_of(close)["status"], close.puts()) == ("paused", 1)
    assert prefect.read_flow_run(run.id).state_name == "Cancelled"
    assert len(close.leads()) > 2


def test_an_automation_that_retries_what_a_person_has_suspended_changes_nothing(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    """Called crashed all the same, and put back: the run is suspended again, and a person's Resume continues it."""
    suspended_while_it_waits(close, run)
    close.forget_requests()
    prefect.set_flow_run_state(run.id, Crashed())
    prefect.set_flow_run_state(run.id, AwaitingRetry(message=BY_AUTOMATION))
    put_back = attempt(prefect.read_flow_run(run.id))
    state, asked = prefect.read_flow_run(run.id).state, close.requests()
    prefect.resume_flow_run(run.id)
    resumed = attempt(prefect.read_flow_run(run.id))

    assert put_back is None
    assert {each["method"] for each in asked} == {"GET"}
    assert state
    assert state.name == "Suspended"
    assert str(state.message).startswith("Suspended: Close has paused bulk delete")
    assert resumed
    assert resumed.outcome == "deleted"


def test_suspended_by_a_person_and_dead_before_it_noticed_it_pauses_at_close_when_it_is_retried(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    """An automation retries it, as it has crashed: the run is suspended again, and Close no longer deletes."""
    close.jobs(leads_per_second=2)
    suspended_while_it_waits(close, run)
    [job] = close.get(BULK_DELETES)["data"]
    close.put(f"{BULK_DELETES}{job['id']}/", status="resuming")  # as if nobody had asked Close
    prefect.set_flow_run_state(run.id, Crashed())
    prefect.set_flow_run_state(run.id, AwaitingRetry(message=BY_AUTOMATION))
    attempt(prefect.read_flow_run(run.id))

    assert job_of(close)["status"] == "paused"
    assert prefect.read_flow_run(run.id).state_name == "Suspended"
    assert len(close.leads()) > 2


def test_suspended_without_the_id_in_the_ledger_it_pauses_what_its_process_knows(
    close: CloseAccount, run: FlowRun
) -> None:
    """Recording the id had failed, so only this process knows what it has started."""
    close.jobs(leads_per_second=2)
    suspended_while_it_waits(close, run)
    [job] = close.get(BULK_DELETES)["data"]
    close.put(f"{BULK_DELETES}{job['id']}/", status="resuming")
    record = ledger.read(run.id)
    assert record
    ledger.update(record, bulk_delete_id=None)

    interrupted = pause_suspended(run_of(run, "junk"), job["id"])

    assert interrupted.job
    assert (interrupted.job.id, interrupted.job.status) == (job["id"], "paused")
    assert "Close has paused" in interrupted.sentence


def test_suspended_right_before_the_claim_it_starts_nothing_and_may_plan_again(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here while the claim is written, after which the run looks at its state once more."""
    claim = ledger.claim

    def suspended_meanwhile(record: Record) -> Record:
        suspend(run.id)
        return claim(record)

    with monkeypatch.context() as here:
        here.setattr(ledger, "claim", suspended_meanwhile)
        report = suspended_attempt(run)
    record, posts, left = ledger.read(run.id), close.posts(BULK_DELETES), len(close.leads())
    close.jobs()
    prefect.resume_flow_run(run.id)
    resumed = attempt(prefect.read_flow_run(run.id))

    assert record
    assert (record.ended, posts, left) == ("refused", [], LEADS + 2)
    assert report.message.startswith("Suspended before anything was started: nothing was deleted.")
    assert resumed
    assert (resumed.outcome, len(close.posts(BULK_DELETES))) == ("deleted", 1)


def test_suspended_while_it_exports_it_starts_nothing(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    close.fault("GET", "/export/", "edit", times=1000, fields={"status": "in_progress"})
    prefect.update_flow_run(run.id, parameters={**PARAMETERS, "backup": True})

    with ThreadPoolExecutor() as elsewhere:
        ends = elsewhere.submit(suspended_attempt, prefect.read_flow_run(run.id))
        wait_until(lambda: any("/export/" in each["path"] for each in close.requests()))
        suspend(run.id)
        report = ends.result()

    assert report.message.startswith("Suspended before anything was started: nothing was deleted.")
    assert close.posts(BULK_DELETES) == []


def test_another_run_that_asks_for_an_approval_leaves_it_alone(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    """Only older requests for an approval are retired by newer ones."""
    prefect.set_flow_run_state(run.id, Running())
    suspend(run.id)
    assert run.deployment_id
    asks = {**PARAMETERS, "approval": "always"}
    newer = prefect.create_flow_run_from_deployment(run.deployment_id, parameters=asks)

    with pytest.raises(Pause):
        attempt(newer)

    assert [prefect.read_flow_run(each.id).state_name for each in (run, newer)] == ["Suspended", "Suspended"]


def test_resume_and_approve_agree_on_what_it_waits_for(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun, lead_cleanup: Command
) -> None:
    prefect.set_flow_run_state(run.id, Running())
    suspend(run.id)

    approved = lead_cleanup("approve", str(run.id), "--leads", "3")
    resumed = lead_cleanup("resume", str(run.id))

    assert approved.code == 3
    assert f"waits for no approval: `lead-cleanup resume {run.id}`" in approved.err
    assert resumed.code == 0
    assert prefect.read_flow_run(run.id).state_name == "AwaitingRetry"


def test_without_a_deployment_the_terminal_says_where_it_stands_and_resume_continues_there(
    close: CloseAccount, prefect: SyncPrefectClient, lead_cleanup: Command
) -> None:
    """The Prefect UI suspends such a run too, by force."""
    run = created(PARAMETERS)
    message = suspended_while_it_waits(close, run)
    left = len(close.leads())

    resumed = lead_cleanup("resume", str(run.id), "--json")

    assert "Close has paused" in message
    assert left > 2
    assert (resumed.code, len(close.leads()), len(close.posts(BULK_DELETES))) == (0, 2, 1)
