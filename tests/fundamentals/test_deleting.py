"""A cleanup, from criteria to what is left."""

from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server

Run = Callable[..., Any]


def test_a_run_is_a_dry_run_unless_told_otherwise(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Planning reads and counts. It writes nothing to Close."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    ended = run_cleanup(match={"status": ["Junk"]})

    assert ended.report.outcome == "dry_run"
    assert ended.report.planned == 1
    assert sandbox.writes() == []


def test_a_live_run_deletes_what_matches_and_nothing_protects(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Match says what may go, keep what must stay; a backup is taken, and one bulk delete does the rest."""
    _, _, kept, other = sandbox.add(
        lead("A", "Junk"),
        lead("B", "Junk"),
        lead("C", "Junk", opportunities=[{"status_type": "active"}]),
        lead("D", "Qualified"),
    )

    ended = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    report = ended.report
    assert report.outcome == "deleted"
    assert (report.matched, report.planned, report.processed, report.remaining) == (3, 2, 2, 0)
    assert report.kept == {"open_opportunities": 1, "total": 1}
    assert set(sandbox.leads()) == {kept, other}
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]


def test_a_second_run_finds_nothing_to_do(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """A schedule may come round as often as it likes."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    ended = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert ended.report.outcome == "nothing_to_do"
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]


def test_over_a_limit_a_run_stops_and_never_trims(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """The first three of four would be some three that nobody chose."""
    sandbox.add(*(lead(name, "Junk") for name in "ABCD"), lead("E"))

    ended = run_cleanup(match={"status": ["Junk"]}, limits={"max_leads": 3}, dry_run=False)

    assert ended.report.outcome == "refused"
    assert "The plan has 4 leads, more than limits.max_leads allows (3)" in ended.message
    assert sandbox.writes() == []


def test_a_lost_reply_is_adopted_not_repeated(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """The POST took effect but its answer was lost: the run finds its bulk delete by its mark, and waits for it."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/bulk_action/delete/", "drop_after")

    ended = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert ended.report.outcome == "deleted"
    assert len(sandbox.posts("/bulk_action/delete/")) == 1


def test_the_outcome_is_the_name_of_the_state(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """In the Prefect UI a run says how it ended; what nobody needs to see is Completed, the rest Failed."""
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"))

    planned = run_cleanup(match={"status": ["Junk"]})
    refused = run_cleanup(match={"status": ["Junk"]}, expect=2, dry_run=False)
    sandbox.jobs(fail_after=1)
    failed = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert (planned.name, planned.type) == ("DryRun", "COMPLETED")
    assert (refused.name, refused.type) == ("Refused", "FAILED")
    assert (failed.name, failed.type) == ("Failed", "FAILED")
