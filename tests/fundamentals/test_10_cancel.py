"""To cancel a run is to ask Close to pause its bulk delete, to look whether it obeys, and to report how far it had got.

Close documents neither the call nor its effect, so what counts is what Close shows afterwards.
"""

from typing import Any

import pytest
from support.attempts import attempt, cancelled, created
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server

JUNK: dict[str, Any] = {
    "match": {"status": ["Junk"]},
    "limits": {"max_share": 1.0, "max_wait_minutes": 1},
    "dry_run": False,
    "backup": False,
}


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """A dozen leads to delete, which Close stops doing after three."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(12)), lead("other"))
    sandbox.jobs(stall_after=3)
    return sandbox


def test_cancelling_pauses_the_bulk_delete_and_says_how_far_it_was(close: CloseAccount) -> None:
    """What is deleted by then is deleted; the rest stays, and the report says how to continue."""
    run = created(JUNK)
    attempt(run)

    report = cancelled(run.id)

    assert (report.outcome, report.processed) == ("cancelled", 3)
    assert f"Close has paused bulk delete {report.bulk_delete_id} at 3 of 12 leads" in report.message
    assert f"`lead-cleanup resume {run.id}`" in report.message
    assert close.get(f"/bulk_action/delete/{report.bulk_delete_id}/")["status"] == "paused"
    assert len(close.leads()) == 10


def test_a_run_that_is_cancelled_before_its_start_deletes_nothing(close: CloseAccount) -> None:
    """There is nothing to pause. Close isn't even asked."""
    run = created(JUNK)

    report = cancelled(run.id)

    assert report.message == "Cancelled before anything was started: nothing was deleted."
    assert close.requests() == []


def test_close_that_does_not_obey_is_said_plainly(close: CloseAccount) -> None:
    """Then a person has to pause it in Close, and the report says so."""
    close.behaviour(pause="ignored")
    run = created(JUNK)
    attempt(run)

    report = cancelled(run.id)

    assert "Cancelled, but Close did not pause bulk delete" in report.message
    assert "Pause it in Close." in report.message


def test_to_cancel_once_more_changes_nothing(close: CloseAccount) -> None:
    """Prefect may call twice, and a person may click twice."""
    run = created(JUNK)
    attempt(run)

    first, second = cancelled(run.id), cancelled(run.id)

    assert (second.outcome, second.processed, second.message) == (first.outcome, first.processed, first.message)
