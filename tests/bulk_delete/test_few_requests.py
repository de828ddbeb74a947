"""How many requests a cleanup makes, of Close and of Prefect.

Close allows a key 16 searches in 8 seconds, so each costs everybody time. With SQLite, Prefect's server does one thing
at a time, so each request of a run holds up the others.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prefect.client.base import PrefectHttpxSyncClient
from support.close_account import CloseAccount, lead
from support.variations import first

from tasks.plan.cascade import KINDS

pytestmark = pytest.mark.server

Run = Callable[..., Any]
PLANNED = 200
SEARCHES, ALL = {"dry run": 12, "deletion": 16}, {"dry run": 18, "deletion": 30}
PREFECT = {"dry run": 22, "deletion": 48}
"""Of them eight are what any flow asks. A busy machine looks at the run's state once or twice more often."""
POLL, COUNTED = re.compile(r"GET /(bulk_action/delete|export)/\w+"), 4
"""A busy machine polls Close's two jobs more often than this, which isn't counted: `test_wait.py` counts polls."""
NOW = datetime.now(UTC)
KEPT: dict[str, dict[str, Any]] = {
    "open_opportunities": {"opportunities": [{"status_type": "active", "value": 100}]},
    "won_opportunities": {"opportunities": [{"status_type": "won", "value": 100}]},
    "upcoming_meetings": {"activities": [{"_type": "Meeting", "starts_at": (NOW + timedelta(days=3)).isoformat()}]},
    "running_workflows": {"sequence_subscriptions": [{"status": "active"}]},
    "created_within_days": {"date_created": NOW.isoformat()},
    "communication_within_days": {"activities": [{"_type": "Email", "status": "sent", "direction": "outgoing"}]},
}
"""A lead for each keep rule that is on by default."""
RECENT = {"created_within_days", "communication_within_days"}
JUNK = {"match": {"status": ["Junk"]}}
WAYS: dict[str, dict[str, Any]] = {
    "by silence": {"match": {"status": ["Junk"], "inactive_months": 6}},
    "approved": {**JUNK, "approval": "always"},
    "by Smart View": {"match": {"smart_view": "Junk"}},
    "by status": JUNK,
    "in batches": {**JUNK, "limits": {"batch": PLANNED}},
    "in the ramp": {**JUNK, "limits": {"ramp": True}},
}


def junk(number: int) -> dict[str, Any]:
    created = (NOW - timedelta(days=800, minutes=number)).isoformat()
    notes = [{"_type": "Note", "note": "Hm", "date_created": created}]
    return lead(f"{number}", "Junk", date_created=created, contacts=[{"name": "Ann"}], activities=notes)


def in_status(close: CloseAccount, label: str) -> dict[str, Any]:
    status_id = next(each["id"] for each in close.get("/status/lead/")["data"] if each["label"] == label)
    field = {"type": "regular_field", "object_type": "lead", "field_name": "status_id"}
    condition = {"type": "reference", "reference_type": "status.lead", "object_ids": [status_id]}
    leads = {"type": "object_type", "object_type": "lead"}
    return {"type": "and", "queries": [leads, {"type": "field_condition", "field": field, "condition": condition}]}


@pytest.mark.parametrize("way", first(2, WAYS))
def test_a_dry_run_and_a_deletion_make_few_requests(sandbox: CloseAccount, run_cleanup: Run, way: str) -> None:
    leads = PLANNED + (way in {"in batches", "in the ramp"})
    sandbox.add(*map(junk, range(leads)), *(lead(rule, "Junk", **more) for rule, more in KEPT.items()), lead("other"))
    sandbox.post("/saved_search/", name="Junk", type="lead", s_query={"query": in_status(sandbox, "Junk")})
    parameters = {**WAYS[way], "limits": {"ramp": False, "max_share": 1.0, **WAYS[way].get("limits", {})}}

    for kind in ("dry run", "deletion"):
        sandbox.limit_rates()  # a new window
        sandbox.forget_requests()
        if way == "approved":
            parameters["expect"] = PLANNED
        report = run_cleanup(**parameters, dry_run=kind == "dry run").report

        made = [f"{each['method']} {each['path']} {each['status']}" for each in sandbox.requests()]
        assert report.outcome == {"dry run": "dry_run", "deletion": "deleted"}[kind]
        assert set(report.kept) - {"total"} == KEPT.keys() - (RECENT if way == "by silence" else set())
        assert sum("/data/search/" in each for each in made) <= SEARCHES[kind], made
        polls = sum(bool(POLL.match(each)) for each in made)
        assert len(made) - max(polls - COUNTED, 0) <= ALL[kind], (polls, made)
        assert polls or kind == "dry run"
        assert not any("429" in each for each in made)


def test_a_thousand_leads_show_what_goes_along_with_them_and_no_more_than_a_page_is_read_of_others(
    sandbox: CloseAccount, run_cleanup: Run
) -> None:
    for more, searches, known in ((1000, 8, True), (1, 4 + len(KINDS), False)):
        for begin in range(0, more, 500):
            sandbox.add(*map(junk, range(begin, min(begin + 500, more))))
        sandbox.forget_requests()
        report = run_cleanup(**JUNK, limits={"max_leads": 5000, "max_share": 1.0, "ramp": False}).report

        asked = sum("/data/search/" in each["path"] for each in sandbox.requests())
        assert ("1,000 contacts" in report.cascade.known, asked) == (known, searches)
        assert report.cascade.not_counted == ()


def test_a_run_asks_prefect_for_nothing_twice(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add(*map(junk, range(5)), *(lead(f"other {number}") for number in range(10)))
    asked: list[str] = []
    send = PrefectHttpxSyncClient.send

    def noted(client: PrefectHttpxSyncClient, request: httpx.Request, *args: Any, **more: Any) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        return send(client, request, *args, **more)

    monkeypatch.setattr(PrefectHttpxSyncClient, "send", noted)
    for kind, most in PREFECT.items():
        asked.clear()
        run_cleanup(**JUNK, dry_run=kind == "dry run", expect=5)

        assert len(asked) <= most, asked
