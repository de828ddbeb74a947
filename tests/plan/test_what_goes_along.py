"""The plan says what a lead takes with it."""

from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import CloseAccount, lead

from tasks.close.pages import SEARCH_PAGE
from tasks.plan import counting
from tasks.plan.cascade import KINDS, NUMBERS

pytestmark = pytest.mark.server

Run = Callable[..., Any]
RICH: dict[str, Any] = {
    "contacts": [{"name": "Ann", "emails": [{"email": "ann@example.com"}]}, {"name": "Bob"}],
    "opportunities": [{"status_type": "active", "value": 120_000, "value_period": "monthly"}, {"status_type": "lost"}],
    "tasks": [{"text": "Call"}, {"text": "Write"}],
    "activities": [{"_type": "Call"}, {"_type": "Note", "note": "Hm"}, {"_type": "Note", "note": "Hm"}],
}
OFF = {"open_opportunities": False, "communication_within_days": 0}


UNLIMITED = {"ramp": False, "max_share": 1.0}


def searches(sandbox: CloseAccount) -> int:
    return len(sandbox.posts("/data/search/"))


def note_of(report: Any) -> str:
    return report.along


def test_it_counts_what_belongs_to_the_planned_leads_and_to_no_others(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk", **RICH), lead("B", "Junk"), lead("C", **RICH))

    report = run_cleanup(match={"status": ["Junk"]}, keep=OFF).report

    assert note_of(report) == (
        "With these leads go 2 contacts, 1 open opportunity (worth 1,200 USD a month), "
        "1 lost opportunity, open tasks (on 1 lead), 1 call, 2 notes."
    )


@pytest.mark.parametrize(("numbers", "more"), [("hidden", 0), ("refused", 2)])
def test_what_the_leads_do_not_show_is_counted(
    sandbox: CloseAccount, run_cleanup: Run, numbers: str, more: int
) -> None:
    """Searches may not show smart fields, or may refuse to be asked for them; exports have them."""
    sandbox.add(lead("A", "Junk", **RICH), lead("B"))
    shown = note_of(run_cleanup(match={"status": ["Junk"]}, keep=OFF).report)
    few = searches(sandbox)

    sandbox.behaviour(numbers_in_search=numbers)
    sandbox.forget_requests()

    assert note_of(run_cleanup(match={"status": ["Junk"]}, keep=OFF).report) == shown
    assert searches(sandbox) == few + more + (len(KINDS) - 1 if numbers == "refused" else len(NUMBERS))


@pytest.fixture
def a_page_is_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more leads than a page has, only a page is read: so these tests need no thousand."""
    monkeypatch.setattr(counting, "FEW", SEARCH_PAGE)


@pytest.mark.usefixtures("a_page_is_few")
def test_of_many_leads_all_is_counted(sandbox: CloseAccount, run_cleanup: Run) -> None:
    many = (lead(f"{n}", "Junk", contacts=[{"name": "Ann"}]) for n in range(201))
    sandbox.add(*many, lead("A", "Junk", **RICH), lead("B"))

    note = note_of(run_cleanup(match={"status": ["Junk"]}, keep=OFF, limits=UNLIMITED).report)

    assert note == (
        "With these leads go 203 contacts, 1 open opportunity (worth 1,200 USD a month), "
        "1 lost opportunity, open tasks (on 1 lead), 1 call, 2 notes."
    )


@pytest.mark.usefixtures("a_page_is_few")
def test_a_dry_run_does_not_wait_for_the_rate_limit_to_count_them(sandbox: CloseAccount, run_cleanup: Run) -> None:
    many = (lead(f"{n}", "Junk", contacts=[{"name": "Ann"}]) for n in range(201))
    sandbox.add(*many, lead("A", "Junk", **RICH), lead("B"))
    sandbox.limit_rates(window_seconds=3600)

    note = note_of(run_cleanup(match={"status": ["Junk"]}, limits=UNLIMITED).report)

    assert "go 201 contacts" in note
    assert "Not counted:" in note
    assert "notes" in note
    assert searches(sandbox) <= 16
    assert all(each["status"] == 200 for each in sandbox.requests())


def test_what_close_does_not_count_is_said_and_stops_nothing(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Close documents only leads and contacts as something to search for."""
    sandbox.add(lead("A", "Junk", contacts=[{"name": "Ann"}]), lead("B"))
    sandbox.behaviour(numbers_in_search="hidden")
    sandbox.fault("POST", "/data/search/", "status", after=4, times=100, status=400)  # the rest count what goes along

    report = run_cleanup(match={"status": ["Junk"]}, keep={**OFF, "won_opportunities": False}).report

    assert report.outcome == "dry_run"
    assert note_of(report).endswith("Not counted: e-mails, calls, meetings, SMS, notes.")
