"""What was planned is compared with what Close did: by its count, by what still matches, and by its event log."""

from collections.abc import Callable
from typing import Any

import pytest
from support.attempts import tried_again, wait_until
from support.close_account import CloseAccount, lead

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

Run = Callable[..., Any]
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}
EVENTS = "/event/"
WITHOUT: dict[str, Any] = {"ramp": False, "max_share": 1.0}


def add_junk(sandbox: CloseAccount, leads: int) -> None:
    """So many leads to delete, and one to keep."""
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(leads)), lead("B"))


def event_pages(sandbox: CloseAccount) -> int:
    """How many pages of the event log were read."""
    return sum(each["path"] == EVENTS for each in sandbox.requests())


def test_the_event_log_names_as_many_leads_as_close_says(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """More than a page of them, after those of another bulk delete."""
    sandbox.add(*(lead(f"{n}", "Junk", date_created=f"{1900 + n}-01-01") for n in range(60)))
    sandbox.add(*(lead(f"other {n}") for n in range(600)))
    run_cleanup(**JUNK, limits={"batch": 5})

    report = run_cleanup(**JUNK, limits={"ramp": False}).report

    assert report.message == "55 leads are deleted."
    assert ("Deleted by its event log", 55) in report.counts()


def test_a_log_that_cannot_be_read_changes_nothing(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("GET", EVENTS, "status", status=403)

    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.logged) == ("deleted", None)


def test_a_log_that_lags_is_read_again_and_then_said_to_lag(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("GET", EVENTS, "edit", fields={"data": []}, times=100)

    report = run_cleanup(**JUNK).report

    assert report.message == "1 lead is deleted. Close's event log does not show 1 of them yet."
    assert event_pages(sandbox) > 5


def test_a_log_that_shows_all_is_read_once(sandbox: CloseAccount, run_cleanup: Run) -> None:
    add_junk(sandbox, 120)

    report = run_cleanup(**JUNK, limits=WITHOUT).report

    assert (report.outcome, report.logged) == ("deleted", 120)
    assert event_pages(sandbox) == 3


def test_while_it_lags_only_what_is_new_is_read_and_in_the_end_all_of_it(
    sandbox: CloseAccount, run_cleanup: Run
) -> None:
    """At first the log shows nothing of its newest page. A late event may be older than those that are known."""
    add_junk(sandbox, 170)
    sandbox.fault("GET", EVENTS, "edit", fields={"data": []})

    report = run_cleanup(**JUNK, limits=WITHOUT).report

    assert (report.outcome, report.logged) == ("deleted", 170)
    assert event_pages(sandbox) == 4 + 2 + 4


def test_what_the_log_never_shows_takes_a_page_a_look(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """And all of the log once more at the end of the half minute."""
    add_junk(sandbox, 120)
    one_more = {"n_leads_processed": 121}
    sandbox.fault("GET", "/bulk_action/delete/bulkdelete_", "edit", fields=one_more, times=1000)

    report = run_cleanup(**JUNK, limits=WITHOUT).report

    assert (report.processed, report.logged) == (121, 120)
    assert event_pages(sandbox) == 3 + 11 * 1 + 3


def test_a_late_event_among_known_ones_is_found_in_the_end(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """The log shows nothing of its second page until the half minute is over."""
    add_junk(sandbox, 120)
    sandbox.fault("GET", EVENTS, "edit", fields={"data": []}, after=1)

    report = run_cleanup(**JUNK, limits=WITHOUT).report

    assert (report.outcome, report.logged) == ("deleted", 120)
    assert event_pages(sandbox) == 3 + 11 * 1 + 3


def test_a_search_that_lags_is_said_to_lag_and_a_retry_counts_again(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Close's event log shows that they are gone. Whether the search will show it too, only another look can tell."""
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(3)), lead("B"))
    sandbox.behaviour(index_lag_seconds=8)

    lagging = run_cleanup(**JUNK, limits={"max_share": 1.0}).report
    wait_until(lambda: not sandbox.post("/data/search/", query=lagging.s_query)["data"])
    counted_again = tried_again(lagging.flow_run_id)

    assert (lagging.outcome, lagging.logged, lagging.remaining) == ("failed", 3, 3)
    assert lagging.message == (
        "Close says done with 3 leads, but 3 still match. Its event log shows that 3 are deleted, so its search lags "
        "behind: a retry of this run counts again."
    )
    assert (counted_again.outcome, counted_again.message) == ("deleted", "3 leads are deleted.")
    assert len(sandbox.posts("/bulk_action/delete/")) == 1
