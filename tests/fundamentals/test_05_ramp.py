"""A cleanup that is new to an organisation starts small: its 50 oldest leads, then 500, then what its limits allow.

Nobody has to trust new criteria with all leads at once. These tests shorten the ramp to 2 and then 3 leads.
"""

from typing import Any

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

from tasks.plan import ramp

pytestmark = pytest.mark.server

JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "backup": False}


@pytest.fixture
def junk(sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch) -> CloseAccount:
    """Nine leads to delete, and one more."""
    sandbox.add(*(lead(f"junk {day}", "Junk", date_created=f"2020-01-0{day}") for day in range(1, 10)), lead("other"))
    monkeypatch.setattr(ramp, "FIRST_RUNS", (2, 3))
    return sandbox


def test_the_first_run_is_small_the_second_is_larger_and_the_third_takes_the_rest(
    junk: CloseAccount, run_cleanup: RunCleanup
) -> None:
    """Each says how many leads it leaves for later runs."""
    reports = [run_cleanup(**JUNK, dry_run=False).report for _ in range(3)]

    assert [(each.outcome, each.planned, each.processed) for each in reports] == [
        ("deleted", 2, 2),
        ("deleted", 3, 3),
        ("deleted", 4, 4),
    ]
    assert "leaves 7 leads for later runs" in " ".join(reports[0].notes)
    assert not any("starts small" in note for note in reports[2].notes)


def test_a_dry_run_shows_what_the_real_one_would_do_and_is_no_step(junk: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Only what has deleted leads counts as a step of the ramp."""
    dry = [run_cleanup(**JUNK).report for _ in range(2)]
    real = run_cleanup(**JUNK, dry_run=False).report

    assert [each.planned for each in (*dry, real)] == [2, 2, 2]
    assert ("Waiting for later runs", 7) in dry[0].counts()


def test_other_criteria_start_again_and_so_does_another_cleanup(junk: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Trust in one set of criteria is none in another."""
    first = run_cleanup(**JUNK, dry_run=False).report
    changed = run_cleanup(**JUNK, keep={"open_tasks": True}).report
    other = run_cleanup(**JUNK, cleanup="another").report

    assert [each.planned for each in (first, changed, other)] == [2, 2, 2]


def test_the_limits_hold_for_all_leads_that_would_be_planned_without_it(
    junk: CloseAccount, run_cleanup: RunCleanup
) -> None:
    """A cleanup that matches far too much is not made harmless by taking it two at a time."""
    report = run_cleanup(**JUNK, limits={"max_leads": 8}, dry_run=False).report

    assert report.outcome == "refused"
    assert "Without the ramp, the plan would have 9 leads, more than limits.max_leads allows (8)" in report.message
    assert len(junk.leads()) == 10


def test_whoever_says_so_starts_with_everything(junk: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Within its limits, of course."""
    report = run_cleanup(**JUNK, limits={"ramp": False}, dry_run=False).report

    assert report.processed == 9
