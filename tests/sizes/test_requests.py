"""How often Close is asked: a plan for many leads asks no more than one for few, and nothing asks more than it did."""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import LONG_AGO, CloseAccount, lead
from support.fake_clock import FakeClock

from tasks.plan.counting import FEW

pytestmark = pytest.mark.server


def test_a_plan_for_many_leads_asks_no_more_than_a_plan_for_few(
    sandbox: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    asked: list[list[tuple[str, str]]] = []
    for leads in (12_000, 16_000):
        sandbox.reset(leads=leads)
        report = run_cleanup(
            match={"status": ["Junk"]}, limits={"max_leads": 100_000, "max_share": 0.5, "ramp": False}
        ).report
        asked.append([(each["method"], each["path"]) for each in sandbox.requests()])
        assert (report.outcome, report.planned > FEW) == ("dry_run", True)

    assert asked[0] == asked[1]
    assert len(asked[1]) < 30


# --- The baseline -----------------------------------------------------------------------------------------------------

DRY_RUN = {
    "GET /me/": 1,
    "GET /organization/{id}/": 1,
    "GET /status/lead/": 1,
    "POST /data/search/": 4,
}
DELETE = {
    "GET /bulk_action/delete/": 1,
    "GET /bulk_action/delete/{id}/": 2,
    "GET /event/": 1,
    "GET /export/{id}/": 2,
    "GET /me/": 1,
    "GET /organization/{id}/": 1,
    "GET /status/lead/": 1,
    "POST /bulk_action/delete/": 1,
    "POST /data/search/": 6,
    "POST /export/lead/": 1,
}
RESTORE = {
    "GET /custom_field/contact/": 1,
    "GET /custom_field/lead/": 1,
    "GET /custom_field/opportunity/": 1,
    "GET /event/": 2,
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


Asked = Callable[[], dict[str, int]]


@pytest.fixture
def asked(sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Asked:
    """How often each request was made to Close since the last time, with ``{id}`` for each id.

    There are three leads to delete, one of them with at least one of everything, and three to keep. Who waits for Close
    sleeps until Close has done all that it was asked to, and the first look at a bulk delete comes too early: so each
    wait is as many looks, however fast or slow this machine is. Our own looks don't count.
    """
    sleep, looks = FakeClock.sleep, Counter[str]()

    def until_close_is_done(self: FakeClock, seconds: float) -> None:
        sleep(self, seconds)
        while not all(done(path) for path in ("/export/", "/bulk_action/delete/")):
            time.sleep(0.02)

    def done(path: str) -> bool:
        looks[f"GET {path}"] += 1
        return {each["status"] for each in sandbox.get(path)["data"]} <= {"done"}

    def asked() -> dict[str, int]:
        made = Counter(f"{each['method']} {ID.sub('{id}', each['path'])}" for each in sandbox.requests())
        found = dict(sorted((made - looks).items()))
        sandbox.forget_requests()
        looks.clear()
        return found

    monkeypatch.setattr(FakeClock, "sleep", until_close_is_done)
    request.getfixturevalue("fake_clock")
    sandbox.fault("GET", "/bulk_action/delete/bulkdelete_", "edit", fields={"status": "loading"})
    sandbox.add(WITH_EVERYTHING, *(lead(name, "Junk") for name in ("Bolt Works", "Crank & Sons")))
    sandbox.add(*(lead(name) for name in ("Dynamo Ltd", "Elm Furniture", "Fern Gardens")))
    return asked


ID = re.compile(r"(?<=/)[a-z]+_[0-9A-Za-z]{22,}")
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


def test_a_dry_run_asks_exactly_this(asked: Asked, run_cleanup: Callable[..., Any]) -> None:
    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.planned) == ("dry_run", 3)
    assert asked() == DRY_RUN


def test_a_delete_with_a_backup_and_its_restore_ask_exactly_this(asked: Asked, run_cleanup: Callable[..., Any]) -> None:
    """One after the other: the restore knows already whose key it is."""
    deleted = run_cleanup(**JUNK, dry_run=False).report
    to_delete = asked()

    restored = brought_back(deleted.backup)
    to_restore = asked()

    assert (deleted.outcome, deleted.processed, deleted.polls) == ("deleted", 3, 2)
    assert to_delete == DELETE
    assert restored.outcome == "restored"
    assert restored.created == {"lead": 3, "contact": 2, "opportunity": 1, "task": 1, "note": 1, "call": 1}
    assert to_restore == RESTORE


def brought_back(backup: str) -> Any:
    """The report of a restore of *backup*."""
    from flows.restore_leads import restore_leads

    return restore_leads(backup, dry_run=False, return_state=True).result()  # pyright: ignore
