"""Cancelled at any moment: what had been deleted by then is told, nothing more is deleted, and the run can go on."""

import random
import threading
import time
from typing import Any

import pytest
from support.attempts import attempt, cancelled, created, start_again, tried_again, wait_until
from support.close_account import CloseAccount, lead

from tasks.ledger import store as ledger
from tasks.report.model import Report

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger", "fake_clock")]

ALWAYS, SEEDS = 2, 50
LEADS = 12
PARAMETERS: dict[str, Any] = {
    "match": {"status": ["Junk"]},
    "limits": {"max_share": 1.0, "max_wait_minutes": 60},
    "dry_run": False,
    "backup": False,
}


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """A dozen leads to delete, which takes less than a second."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(LEADS)), lead("A"), lead("B"))
    sandbox.jobs(leads_per_second=20)
    return sandbox


def seeds() -> list[Any]:
    """The first few are for `make test`, the rest for `make test-all`."""
    return [pytest.param(seed, marks=[pytest.mark.exhaustive] if seed >= ALWAYS else []) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", seeds())
def test_after_a_cancel_nothing_more_is_deleted_and_the_report_says_how_much_was(
    seed: int, close: CloseAccount
) -> None:
    """The copy that is cancelled lives on here, as it may where a worker has lost sight of it, and must do no harm."""
    moment = random.Random(seed).uniform(0, 2)

    run = created(PARAMETERS)
    under_way = threading.Thread(target=attempt, args=[run])
    under_way.start()
    time.sleep(moment)
    report = cancelled(run.id)
    left = len(close.leads())
    time.sleep(0.3)
    again = cancelled(run.id)
    under_way.join()

    assert report.outcome == "cancelled"
    assert len(close.leads()) == left, "after Close has confirmed the pause, or nothing was started"
    assert (report.processed or 0) == LEADS + 2 - left, report.message
    assert again.processed == report.processed, "to cancel once more changes nothing"
    assert_says(report)

    resumed = tried_again(run.id)
    assert resumed.outcome == "deleted", resumed.message
    assert len(close.leads()) == 2
    assert len(close.posts("/bulk_action/delete/")) == 1


def assert_says(report: Report) -> None:
    """What became of it, and how to go on."""
    if report.bulk_delete_id is None:
        assert report.message == "Cancelled before anything was started: nothing was deleted."
    elif report.processed == LEADS:
        assert "is done" in report.message or f"at {LEADS} of {LEADS}" in report.message
    else:
        assert f"Close has paused bulk delete {report.bulk_delete_id} at {report.processed} of " in report.message
        assert f"`lead-cleanup resume {report.flow_run_id}`" in report.message


def test_a_key_that_may_not_look_any_more_is_said_too(close: CloseAccount) -> None:
    close.jobs(leads_per_second=1)
    run = created(PARAMETERS)
    under_way = threading.Thread(target=attempt, args=[run])
    under_way.start()
    wait_until(lambda: bool((record := ledger.read(run.id)) and record.bulk_delete_id))
    close.fault("PUT", "/", "status", times=1000, status=401)
    close.fault("GET", "/bulk_action/", "status", times=1000, status=401)

    report = cancelled(run.id)
    close.clear_faults()
    under_way.join()

    assert "Cancelled, but Close could not be asked to pause bulk delete" in report.message
    assert "Check CLOSE_API_KEY" in report.message


def test_a_claim_of_which_nothing_is_known_is_looked_for_and_then_said_to_be_unknown(close: CloseAccount) -> None:
    """And a retry by an automation doesn't go on with what a person has cancelled; one by a person does."""
    from tasks.runs.attempts import BY_AUTOMATION

    close.fault("POST", "/bulk_action/delete/", "drop_before")
    run = created(PARAMETERS)
    attempt(run)

    report = cancelled(run.id)
    by_automation = tried_again(run.id, BY_AUTOMATION)
    by_person = tried_again(run.id)
    started = start_again(run.id)

    assert "Cancelled, but Close could not be asked to pause what it may have started" in report.message
    assert (by_automation.outcome, by_person.outcome, started.outcome) == ("cancelled", "unknown", "deleted")
