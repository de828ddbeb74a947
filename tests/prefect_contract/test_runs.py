"""What at most once, resuming and cancelling rest on: what Prefect does with a run whose process is gone.

Each test says in its assertion what of ours would break. A fixture here brings a run to its end once; the tests look at
what its processes noted.
"""

import os
import signal
import subprocess
import time

import pytest
from contract_runs import PREFECT, Life, Lives
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelling

pytestmark = [pytest.mark.server, pytest.mark.exhaustive, pytest.mark.xdist_group("prefect_contract")]

CRASH_IS_REPORTED_TWICE = 5  # seconds: by the flow's runner, and some three seconds later by the worker
CUT_OFF = "The cut-off would move: the query and its mark change, and a run can't find its bulk delete."


@pytest.fixture(scope="session")
def retried(lives: Lives, environment: dict[str, str]) -> Life:
    """A run that was killed after its task, and then retried as a person does it."""
    life = lives.interrupted
    os.kill(life.notes.first("task").pid, signal.SIGKILL)
    life.becomes(
        "CRASHED", "A run whose process was killed isn't called crashed: nobody, and no automation, retries it."
    )
    time.sleep(CRASH_IS_REPORTED_TWICE)
    command = [PREFECT, "flow-run", "retry", str(life.run_id)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    life.becomes("COMPLETED", "A crashed run can't be retried: its bulk delete would be left without anybody to wait.")
    return life


@pytest.fixture(scope="session")
def resumed(lives: Lives, prefect: SyncPrefectClient) -> Life:
    """A run that suspended itself after its task, and then was resumed."""
    life = lives.suspended
    life.becomes("PAUSED", "A run can't suspend itself: it can't wait for a person's approval without a process.")
    prefect.resume_flow_run(life.run_id)
    life.becomes("COMPLETED", "A suspended run can't be resumed: an approval leads nowhere.")
    return life


def test_a_retry_runs_the_flow_again_in_the_same_run(retried: Life) -> None:
    """Rests on it: the record is found by the run's id, so a retry goes on with the bulk delete and starts none."""
    first, second = retried.notes.of("start")

    assert second.pid != first.pid
    assert second.run_id == first.run_id == retried.run_id, (
        "A retry is a run with another id: it finds no record in the ledger, and starts a second bulk delete."
    )
    assert (first.attempt, second.attempt) == (1, 2), "run_count no longer counts the attempts of a retried run."


def test_a_retry_keeps_the_expected_start(retried: Life) -> None:
    """Rests on it: every attempt reckons from the same instant, and knows its bulk delete by that mark."""
    first, second = retried.notes.of("start")

    assert first.expected_start, f"A run has no expected start. {CUT_OFF}"
    assert second.expected_start == first.expected_start, f"A retry has another expected start. {CUT_OFF}"


def test_a_retry_runs_plain_tasks_again(retried: Life) -> None:
    """Rests on it: an attempt reads its record and counts anew; a task's old result is never taken for the present."""
    assert [each.attempt for each in retried.notes.of("task")] == [1, 2], (
        "A task that had completed doesn't run again on a retry: read_record would repeat that there is no record, and "
        "a second bulk delete would be started."
    )


def test_a_resumed_run_keeps_its_expected_start_and_its_attempt(resumed: Life) -> None:
    """Rests on it: approval doesn't move the cut-off, and run_count isn't what tells us that we have been here."""
    first, second = resumed.notes.of("start")

    assert second.pid != first.pid
    assert second.run_id == first.run_id == resumed.run_id, (
        "A resumed run has another id, and finds no record of its own."
    )
    assert first.expected_start, f"A run has no expected start. {CUT_OFF}"
    assert second.expected_start == first.expected_start, f"A resumed run has another expected start. {CUT_OFF}"
    assert (first.attempt, second.attempt) == (1, 1), (
        "Resuming counts as an attempt now: see what is said of run_count."
    )


def test_what_stands_before_a_suspend_runs_again_on_resume(resumed: Life) -> None:
    """Rests on it: a run that was approved looks at its record, the stop and its limits again before it deletes."""
    again = "What stands before a suspend no longer runs again: a run would act on what was true before its approval."

    assert len(resumed.notes.of("start")) == 2, again
    assert len(resumed.notes.of("task")) == 2, again
    assert len(resumed.notes.of("end")) == 1, "What stands after a suspend runs before the approval too."


def test_cancelling_interrupts_a_sleep_and_runs_the_hook_in_a_process_of_its_own(
    lives: Lives, prefect: SyncPrefectClient
) -> None:
    """Rests on it: a cancel stops a run that waits, and the hook works from the ledger alone, not from memory."""
    life = lives.cancelled
    start = life.notes.first("start")

    prefect.set_flow_run_state(life.run_id, Cancelling())
    life.becomes(
        "CANCELLED", "Cancelling doesn't end a run that sleeps: the wait for a bulk delete can't be cancelled."
    )

    assert [each.pid for each in life.notes.of("end")] == [start.pid], (
        "Cancelling doesn't run what stands in `finally`: clients are left open."
    )
    assert life.notes.first("hook").run_id == life.run_id, "The hook is told of another run: it can't find the record."
    assert life.notes.first("hook").pid != start.pid, (
        "The hook runs in the flow's own process now: it may be killed with it before Close was asked to pause."
    )


def test_a_parameter_that_is_unknown_stops_a_run_before_its_body(lives: Lives) -> None:
    """Rests on it: a criterion that is misspelt is never a criterion that is left out."""
    lives.unknown_parameter.becomes("CRASHED", "A run with an unknown parameter isn't stopped.")

    assert lives.unknown_parameter.notes.of("start") == [], (
        "A run with an unknown parameter runs without it: a misspelt `match` or `keep` would be ignored."
    )
