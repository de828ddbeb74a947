"""Suspended by a person in the Prefect UI: Close is asked to pause, and only a person's Resume lets the run continue."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Crashed
from support.attempts import attempt, created, suspend, suspended_attempt, wait_until
from support.close_account import CloseAccount, lead

from flows.lead_cleanup import lead_cleanup
from tasks.ledger import store as ledger
from tasks.runs.attempts import BY_AUTOMATION

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
    """More leads to delete than go in a few seconds."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(LEADS)), lead("A"), lead("B"))
    sandbox.jobs(leads_per_second=1)
    return sandbox


@pytest.fixture
def prefect(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def run(prefect: SyncPrefectClient) -> FlowRun:
    """A run of a deployment, as only those can be resumed in the UI."""
    deployment = prefect.create_deployment(prefect.create_flow(lead_cleanup), f"junk-{uuid4().hex}")
    return prefect.create_flow_run_from_deployment(deployment, parameters=PARAMETERS)


def suspended_while_it_waits(run: FlowRun) -> str:
    """The message of the report, once the run has started its bulk delete and somebody has suspended it."""
    with ThreadPoolExecutor() as elsewhere:
        ends = elsewhere.submit(suspended_attempt, run)
        wait_until(lambda: bool((record := ledger.read(run.id)) and record.bulk_delete_id))
        suspend(run.id)
        report = ends.result()
    assert report.outcome == "suspended"
    return report.message


def job_of(close: CloseAccount) -> dict[str, Any]:
    [job] = close.get(BULK_DELETES)["data"]
    return job


def puts(close: CloseAccount) -> int:
    return sum(each["method"] == "PUT" for each in close.requests())


def test_suspended_while_close_deletes_it_pauses_at_close_and_resume_lets_it_continue(
    close: CloseAccount, prefect: SyncPrefectClient, run: FlowRun
) -> None:
    said = suspended_while_it_waits(run)
    job, left = job_of(close), len(close.leads())
    state = prefect.read_flow_run(run.id).state_name
    close.jobs(leads_per_second=1000)
    prefect.resume_flow_run(run.id)
    resumed = attempt(prefect.read_flow_run(run.id))

    assert (state, job["status"], left > 2) == ("Suspended", "paused", True)
    assert said == (
        f"Suspended: Close has paused bulk delete {job['id']} at {LEADS + 2 - left} of {LEADS} leads. *Resume* in "
        f"Prefect, or `lead-cleanup resume {run.id}`, resumes it; after seven days Close refuses."
    )
    assert resumed
    assert (resumed.outcome, prefect.read_flow_run(run.id).run_count) == ("deleted", 1)
    assert any(note.startswith("Suspended at ") and note.endswith(", and resumed later.") for note in resumed.notes)
    assert (len(close.posts(BULK_DELETES)), puts(close)) == (1, 2)
