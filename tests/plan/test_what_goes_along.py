"""The plan says what a lead takes with it."""

from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server

Run = Callable[..., Any]
RICH: dict[str, Any] = {
    "contacts": [{"name": "Ann", "emails": [{"email": "ann@example.com"}]}, {"name": "Bob"}],
    "opportunities": [{"status_type": "active", "value": 120_000, "value_period": "monthly"}, {"status_type": "lost"}],
    "tasks": [{"text": "Call"}, {"text": "Write"}],
    "activities": [{"_type": "Call"}, {"_type": "Note", "note": "Hm"}, {"_type": "Note", "note": "Hm"}],
}
OFF = {"open_opportunities": False, "communication_within_days": 0}


def note_of(report: Any) -> str:
    return next(note for note in report.notes if "these leads" in note)


def test_it_counts_what_belongs_to_the_planned_leads_and_to_no_others(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk", **RICH), lead("B", "Junk"), lead("C", **RICH))

    report = run_cleanup(match={"status": ["Junk"]}, keep=OFF).report

    assert note_of(report) == (
        "When they were planned, these leads had 2 contacts, 1 open opportunity (worth 1,200 USD a month), "
        "1 lost opportunity, open tasks (on 1 lead), 1 call, 2 notes, which Close deletes with them."
    )


def test_what_close_does_not_count_is_said_and_stops_nothing(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Close documents only leads and contacts as something to search for."""
    sandbox.add(lead("A", "Junk", contacts=[{"name": "Ann"}]), lead("B"))
    sandbox.fault("POST", "/data/search/", "status", after=8, times=100, status=400)  # the rest count what goes along

    report = run_cleanup(match={"status": ["Junk"]}, keep={**OFF, "won_opportunities": False}).report

    assert report.outcome == "dry_run"
    assert "Close does not count their" in note_of(report)
