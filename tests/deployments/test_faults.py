"""Processes that die and a server that restarts, at whichever step: the second half of tests/faults/MATRIX.md.

The sandbox holds a step up by taking long to answer; what happens meanwhile happens to real processes. A run that only
the automations would find is called crashed here, so that nobody waits for minutes: test_recovery.py waits for them.
"""

import os
import random
import signal
import subprocess
import time
from uuid import UUID

import pytest
from deployed_runs import PREFECT, PrefectServer, StartWorker, await_state, is_alive, process_of, wait_for
from faults.happening import AFTER, PARAMETERS, POINTS, PROCESS_FAULTS, Stage, hold, rows
from faults.table import Row, check
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Cancelling, Crashed
from support.attempts import suspend
from support.close_account import CloseAccount, lead

from tasks.bulk_delete.resume import CRASH_IS_REPORTED_WITHIN, permit
from tasks.ledger import store as ledger
from tasks.report.artifacts import artifacts_of
from tasks.runs.outcomes import Outcome

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("deployed_faults"), pytest.mark.timeout(900)]

BULK_DELETES = "/bulk_action/delete/"
MANY = 200  # leads: at one a second, more than go while somebody cancels three times on a busy machine
POINT = {point.name: point for point in POINTS}


@pytest.fixture
def close(sandbox: CloseAccount, prefect: SyncPrefectClient) -> CloseAccount:
    """Three leads to delete among five; and no claim of an earlier test's run, which would stand in the way."""
    for variable in prefect.read_variables():
        prefect.delete_variable_by_name(variable.name)
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"), lead("E"))
    return sandbox


@pytest.fixture
def run_id(prefect: SyncPrefectClient, close: CloseAccount) -> UUID:
    """A run that waits for a worker."""
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    return prefect.create_flow_run_from_deployment(ad_hoc.id, parameters=PARAMETERS).id


@pytest.mark.exhaustive  # tests/cli/test_takeover.py kills one
def test_a_run_that_is_killed_three_times_on_its_way_deletes_once(
    prefect: SyncPrefectClient,
    prefect_environment: dict[str, str],
    start_worker: StartWorker,
    close: CloseAccount,
    run_id: UUID,
) -> None:
    """Before the POST; after it and before its answer; and during the wait. Each time somebody tries it again."""
    with start_worker():
        for number, point in enumerate(("sample", AFTER, "poll"), start=1):
            held = hold(close, POINT[point])
            if number > 1:
                subprocess.run([PREFECT, "flow-run", "retry", str(run_id)], env=prefect_environment, check=True)
            wait_for(held, close.requests)
            os.kill(process_of(run_id), signal.SIGKILL)
            await_state(prefect, run_id, "Crashed", attempt=number)
            time.sleep(CRASH_IS_REPORTED_WITHIN)
        subprocess.run([PREFECT, "flow-run", "retry", str(run_id)], env=prefect_environment, check=True)
        await_state(prefect, run_id, "Deleted")

    assert len(close.posts(BULK_DELETES)) == 1
    assert len(close.leads()) == 2


@pytest.mark.exhaustive  # make test-system does it in a browser
def test_what_became_of_a_run_that_is_cancelled_stands_in_its_log(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, run_id: UUID
) -> None:
    """By the run's own process, which asks Close at once; and later by that in which Prefect calls our hook."""
    close.jobs(leads_per_second=0.01)
    with start_worker():
        wait_for(close.is_asked_for_its_bulk_delete, close.requests)
        prefect.set_flow_run_state(run_id, Cancelling())
        wait_for(lambda: not is_alive(run_id), close.requests)
        [job] = close.get(BULK_DELETES)["data"]
        pauses = close.puts()
        state = prefect.read_flow_run(run_id).state_name
        at_once = latest_report(run_id)
        await_state(prefect, run_id, "Cancelled")
        logs = prefect.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), limit=200)

    assert (job["status"], pauses, state) == ("paused", 1, "Cancelling"), "before Prefect's hook has begun"
    assert f"Cancelled: Close has paused bulk delete {job['id']} at 0 of 3 leads." in at_once
    [said] = [each.message for each in logs if each.name == "tasks.bulk_delete.cancel"]
    assert said.startswith(f"Cancelled: Close has paused bulk delete {job['id']} at 0 of 3 leads.")


@pytest.mark.exhaustive  # a terminal's process shows it too
def test_a_process_that_is_terminated_without_a_cancel_leaves_close_alone(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, run_id: UUID
) -> None:
    """A container that stops, a worker that is updated: Close continues, and a retry waits for what it has started."""
    close.jobs(leads_per_second=0.01)
    with start_worker():
        wait_for(close.is_asked_for_its_bulk_delete, close.requests)
        os.kill(process_of(run_id), signal.SIGTERM)
        await_state(prefect, run_id, "Crashed")

    [job] = close.get(BULK_DELETES)["data"]
    assert job["status"] == "processing"
    assert close.puts() == 0


@pytest.mark.exhaustive  # make test-system does it in a browser
def test_a_run_that_is_suspended_pauses_at_close_and_ends_its_process_and_resume_continues_it(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, run_id: UUID
) -> None:
    close.jobs(stall_after=1)
    with start_worker():
        wait_for(close.is_asked_for_its_bulk_delete, close.requests)
        suspend(run_id, prefect)
        wait_for(lambda: not is_alive(run_id), close.requests)
        state = prefect.read_flow_run(run_id).state_name
        [job] = close.get(BULK_DELETES)["data"]
        report = latest_report(run_id)
        ends = resumed(prefect, run_id)

    assert (state, job["status"]) == ("Suspended", "paused")
    assert f"Suspended: Close has paused bulk delete {job['id']} at {job['n_leads_processed']} of 3 leads." in report
    assert (outcome_of(ends), ends.run_count) == ("deleted", 1)
    assert len(close.posts(BULK_DELETES)) == 1


@pytest.mark.exhaustive  # a row of the matrix shows it too
def test_a_restart_of_the_prefect_server_is_survived_by_a_run_that_waits(
    prefect: SyncPrefectClient,
    prefect_server_process: PrefectServer,
    start_worker: StartWorker,
    close: CloseAccount,
    run_id: UUID,
) -> None:
    held = hold(close, POINT["poll"])
    with start_worker():
        wait_for(held, close.requests)
        prefect_server_process.stop()
        prefect_server_process.start()
        ended = await_end(prefect, run_id)

    assert outcome_of(ended) == "deleted"
    assert len(close.posts(BULK_DELETES)) == 1


@pytest.mark.exhaustive
def test_cancelled_again_and_again_a_run_stops_deleting_and_says_how_far_it_is(
    prefect: SyncPrefectClient, start_worker: StartWorker, sandbox: CloseAccount
) -> None:
    """Three times, at moments that a seed decides; and in between somebody tries it again in Prefect."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(MANY)), lead("A"))
    sandbox.jobs(leads_per_second=1)
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    run = prefect.create_flow_run_from_deployment(
        ad_hoc.id, parameters={**PARAMETERS, "limits": {"max_share": 1.0, "max_leads": 1000, "ramp": False}}
    )
    chance = random.Random(3)

    def deleted() -> int:
        return MANY + 1 - len(sandbox.leads())

    with start_worker():
        for attempt in (1, 2, 3):
            before = deleted()
            wait_for(lambda: deleted() > before, lambda: prefect.read_flow_run(run.id).state)  # noqa: B023 - asked at once
            time.sleep(chance.uniform(0, 1))
            prefect.set_flow_run_state(run.id, Cancelling())
            await_state(prefect, run.id, "Cancelled", attempt)
            at_the_pause = deleted()
            time.sleep(1)

            [job] = sandbox.get(BULK_DELETES)["data"]
            assert (job["status"], deleted()) == ("paused", at_the_pause)
            how_far = f"Close has paused bulk delete {job['id']} at {at_the_pause} of {MANY}"
            assert how_far in latest_report(run.id)
            if attempt < 3:
                prefect.set_flow_run_state(run.id, AwaitingRetry(message="Retry from the UI"), force=True)

    assert len(sandbox.posts(BULK_DELETES)) == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", PROCESS_FAULTS)
@pytest.mark.parametrize("point", [pytest.param(each, id=each.name) for each in POINTS])
def test_what_happens_to_processes(
    point: Stage,
    fault: str,
    prefect: SyncPrefectClient,
    prefect_server_process: PrefectServer,
    start_worker: StartWorker,
    close: CloseAccount,
    run_id: UUID,
) -> None:
    held = hold(close, point)
    with start_worker():
        wait_for(held, close.requests)
        match fault:
            case "kill -9 of the flow":
                os.kill(process_of(run_id), signal.SIGKILL)
                ends = await_end(prefect, run_id)
            case "SIGTERM of the flow":
                os.kill(process_of(run_id), signal.SIGTERM)
                ends = await_end(prefect, run_id)
            case "restart of the Prefect server":
                prefect_server_process.stop()
                prefect_server_process.start()
                ends = await_end(prefect, run_id)
            case "SIGTERM of the worker":
                ends = None  # the block's end stops it
            case "suspended by a person, then resumed":
                suspend(run_id, prefect)
                wait_for(lambda: not is_alive(run_id), close.requests)
                ends = prefect.read_flow_run(run_id)
            case _:
                pytest.fail(f"Nobody knows how to bring about {fault}.")
    if ends is None:
        ends = prefect.read_flow_run(run_id)
        assert ends.state_name == "Running"
        prefect.set_flow_run_state(run_id, Crashed(), force=True)
    started, sent = close.get(BULK_DELETES)["data"], len(close.posts(BULK_DELETES))
    pauses = close.puts()
    time.sleep(CRASH_IS_REPORTED_WITHIN)
    with start_worker():
        again = resumed(prefect, run_id) if ends.state_name == "Suspended" else tried_again(prefect, run_id)
        third = None
        if outcome_of(again) == "unknown":
            permit(again, ledger.read(run_id), "a test")
            third = tried_again(prefect, run_id)

    assert len(started) <= 1
    assert pauses == 0 or ends.state_name == "Suspended", (
        "a process that is terminated leaves Close alone, unless cancelled"
    )
    assert len(close.get(BULK_DELETES)["data"]) == 1
    assert outcome_of(third or again) == "deleted"
    assert len(close.leads()) == 2
    row = Row(
        point.name,
        fault,
        outcome_of(ends),
        f"{sent}" if sent == len(started) else f"{sent}, of which {len(started)} with effect",
        outcome_of(again),
        outcome_of(third) if third else "",
    )
    check(row, rows())


def tried_again(prefect: SyncPrefectClient, run_id: UUID) -> FlowRun:
    """The run once it has ended after one more attempt."""
    attempt = prefect.read_flow_run(run_id).run_count + 1
    prefect.set_flow_run_state(run_id, AwaitingRetry(), force=True)
    return await_end(prefect, run_id, attempt)


def resumed(prefect: SyncPrefectClient, run_id: UUID) -> FlowRun:
    """The run once it has ended after *Resume* in the Prefect UI."""
    prefect.resume_flow_run(run_id)
    return await_end(prefect, run_id)


def await_end(prefect: SyncPrefectClient, run_id: UUID, attempt: int = 1) -> FlowRun:
    """The run, once this attempt of it has ended."""

    def look() -> FlowRun | None:
        run = prefect.read_flow_run(run_id)
        return run if run.state and run.state.is_final() and run.run_count >= attempt else None

    return wait_for(look, lambda: prefect.read_flow_run(run_id).state)


def outcome_of(run: FlowRun) -> str:
    """The outcome that the name of the run's state stands for; else that name."""
    name = str(run.state_name)
    return next((each.value for each in Outcome if each.state_name == name), name.lower())


def latest_report(run_id: UUID) -> str:
    """The report that the run published last."""
    reports = [each for each in artifacts_of(run_id) if each.type == "markdown"]
    return str(max(reports, key=lambda each: str(each.created)).data).replace("\\", "")
