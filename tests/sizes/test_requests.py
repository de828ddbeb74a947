"""How often Close is asked: a plan for many leads asks no more than one for few, and nothing asks more than it did."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import LONG_AGO, CloseAccount, lead

pytestmark = pytest.mark.server


def test_a_plan_for_many_leads_asks_no_more_than_a_plan_for_few(
    sandbox: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    asked: list[list[tuple[str, str]]] = []
    for leads in (200, 5_000):
        sandbox.reset(leads=leads)
        report = run_cleanup(
            match={"status": ["Junk"]}, limits={"max_leads": 100_000, "max_share": 0.5, "ramp": False}
        ).report
        asked.append([(each["method"], each["path"]) for each in sandbox.requests()])
        assert (report.outcome, report.planned > leads / 50) == ("dry_run", True)

    assert asked[0] == asked[1]
    assert len(asked[1]) < 30


# --- The baseline -----------------------------------------------------------------------------------------------------

DRY_RUN = {
    "GET /me/": 1,
    "GET /organization/{id}/": 1,
    "GET /status/lead/": 2,
    "POST /data/search/": 20,
}
DELETE = {
    "GET /bulk_action/delete/": 1,
    "GET /bulk_action/delete/{id}/": 1,
    "GET /event/": 1,
    "GET /export/{id}/": 2,
    "GET /me/": 1,
    "GET /organization/{id}/": 1,
    "GET /status/lead/": 2,
    "POST /bulk_action/delete/": 1,
    "POST /data/search/": 23,
    "POST /export/lead/": 1,
}
RESTORE = {
    "GET /custom_field/contact/": 1,
    "GET /custom_field/lead/": 1,
    "GET /custom_field/opportunity/": 1,
    "GET /event/": 1,
    "GET /lead/{id}/": 3,
    "GET /me/": 1,
    "GET /organization/{id}/": 1,
    "GET /status/lead/": 2,
    "GET /status/opportunity/": 1,
    "POST /activity/call/": 1,
    "POST /activity/note/": 1,
    "POST /lead/": 3,
    "POST /opportunity/": 1,
    "POST /task/": 1,
}


@pytest.fixture
def few_leads(sandbox: CloseAccount) -> CloseAccount:
    """Three leads to delete, one of them with at least one of everything, and three to keep.

    Close is so slow to answer the start of an export or of a bulk delete that it has done it by then: each wait is one
    look, however slow this machine is.
    """
    for path in ("/export/lead/", "/bulk_action/delete/"):
        sandbox.fault("POST", path, "delay", seconds=1.5, times=10)
    sandbox.jobs(created_seconds=0, loading_seconds=0)
    sandbox.add(WITH_EVERYTHING, *(lead(name, "Junk") for name in ("Bolt Works", "Crank & Sons")))
    sandbox.add(*(lead(name) for name in ("Dynamo Ltd", "Elm Furniture", "Fern Gardens")))
    return sandbox


WITH_EVERYTHING: dict[str, Any] = lead(
    "Acme Anvils",
    "Junk",
    contacts=[{"name": "Ann Anvil", "emails": [{"email": "ann@acme.example", "type": "office"}]}, {"name": "Ben"}],
    opportunities=[{"status_type": "lost", "note": "Too heavy", "date_created": LONG_AGO}],
    tasks=[{"text": "Call back", "date": "2030-05-06", "date_created": LONG_AGO}],
    activities=[
        {"_type": "Note", "note": "Asked for prices.", "date_created": LONG_AGO, "activity_at": LONG_AGO},
        {"_type": "Call", "direction": "inbound", "duration": 90, "date_created": LONG_AGO, "activity_at": LONG_AGO},
    ],
)
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}}


@pytest.mark.usefixtures("fake_clock")
def test_a_dry_run_asks_exactly_this(few_leads: CloseAccount, run_cleanup: Callable[..., Any]) -> None:
    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.planned) == ("dry_run", 3)
    assert asked(few_leads) == DRY_RUN


@pytest.mark.usefixtures("fake_clock")
def test_a_delete_with_a_backup_and_its_restore_ask_exactly_this(
    few_leads: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    """One after the other: the restore knows already whose key it is."""
    deleted = run_cleanup(**JUNK, dry_run=False).report
    to_delete = asked(few_leads)
    few_leads.forget_requests()

    restored = brought_back(deleted.backup)
    to_restore = asked(few_leads)

    assert (deleted.outcome, deleted.processed, deleted.polls) == ("deleted", 3, 1)
    assert to_delete == DELETE
    assert restored.outcome == "restored"
    assert restored.created == {"lead": 3, "contact": 2, "opportunity": 1, "task": 1, "note": 1, "call": 1}
    assert to_restore == RESTORE


def brought_back(backup: str) -> Any:
    """The report of a restore of *backup*."""
    from flows.restore_leads import restore_leads

    return restore_leads(backup, dry_run=False, return_state=True).result()  # pyright: ignore


def asked(sandbox: CloseAccount) -> dict[str, int]:
    """How often each request was made to Close, with ``{id}`` for each id."""
    made = (f"{each['method']} {ID.sub('{id}', each['path'])}" for each in sandbox.requests())
    return dict(sorted(Counter(made).items()))


ID = re.compile(r"(?<=/)[a-z]+_[0-9A-Za-z]{22,}")
