"""What only reads is retried while Close is away; what starts something is retried only if Close has refused it.

So a run may be tried again, by a person or an automation, as often as anybody likes. Each attempt first reads what the
one before has left in the record.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.attempts import tried_again
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

from tasks.runs.attempts import BY_AUTOMATION

pytestmark = pytest.mark.server

BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}


def test_reads_are_retried_while_close_is_away(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A search changes nothing, so it is sent again, ever more slowly, until Close answers."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/data/search/", "status", times=3, status=503)

    report = run_cleanup(match={"status": ["Junk"]}).report

    assert (report.outcome, report.planned) == ("dry_run", 1)


def test_what_close_refused_may_be_tried_again(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A 403 proves that nothing was started. The record says so, and another attempt makes its own claim."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "status", status=403)

    first = run_cleanup(**JUNK).report
    again = tried_again(first.flow_run_id)

    assert (first.outcome, again.outcome) == ("refused", "deleted")
    assert len(sandbox.leads()) == 1


def test_a_finished_run_that_is_tried_again_starts_nothing(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """It finds its bulk delete in the record and reports it once more. What matches by now is for another run."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    first = run_cleanup(**JUNK).report
    now = datetime.now(UTC).isoformat()
    newer, _ = sandbox.add(lead("C", "Junk", date_created=now, date_updated=now), lead("D"))

    again = tried_again(first.flow_run_id)

    assert (again.outcome, again.bulk_delete_id) == ("deleted", first.bulk_delete_id)
    assert again.notes == first.notes
    assert len(sandbox.posts(BULK_DELETE)) == 1
    assert newer in sandbox.leads()


def test_an_automation_retries_what_has_crashed_and_nothing_else(
    sandbox: CloseAccount, run_cleanup: RunCleanup
) -> None:
    """A run that was refused stays refused, even if an action of Prefect comes late or twice. A person may retry it."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    first = run_cleanup(**JUNK, expect=1).report
    sandbox.put(f"/lead/{next(iter(sandbox.leads()))}/", status_id=sandbox.get("/status/lead/")["data"][0]["id"])

    by_automation = tried_again(first.flow_run_id, BY_AUTOMATION)
    writes = sandbox.posts(BULK_DELETE)
    by_person = tried_again(first.flow_run_id)

    assert (by_automation.outcome, by_automation.message) == ("refused", first.message)
    assert writes == []
    assert by_person.outcome == "deleted"
