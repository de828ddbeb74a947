"""Match says which leads may go; keep says which of them must stay.

A lead has to meet all of match to be deleted, and any one reason of keep protects it. Some reasons hold unless they are
turned off: open and won opportunities, a meeting ahead, a running workflow, and leads
that are younger than 30 days or had communication within them.
"""

from datetime import UTC, datetime, timedelta

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server


def test_a_live_run_deletes_what_matches_and_nothing_protects(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The lead with an open opportunity stays, and the report says for which reason."""
    _, _, kept, other = sandbox.add(
        lead("A", "Junk"),
        lead("B", "Junk"),
        lead("C", "Junk", opportunities=[{"status_type": "active"}]),
        lead("D", "Qualified"),
    )

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    assert report.outcome == "deleted"
    assert (report.matched, report.planned, report.processed, report.remaining) == (3, 2, 2, 0)
    assert report.kept == {"open_opportunities": 1, "total": 1}
    assert set(sandbox.leads()) == {kept, other}
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]


def test_a_young_lead_is_kept_until_that_rule_is_turned_off(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A default protects those who haven't thought of it; others can say 0."""
    a_week_ago = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    sandbox.add(lead("A", "Junk", date_created=a_week_ago), lead("B", "Junk"), lead("C"))

    by_default = run_cleanup(match={"status": ["Junk"]}).report
    turned_off = run_cleanup(match={"status": ["Junk"]}, keep={"created_within_days": 0}).report

    assert by_default.kept == {"created_within_days": 1, "total": 1}
    assert (by_default.planned, turned_off.planned) == (1, 2)


def test_a_cleanup_may_name_more_that_must_stay(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Here two leads, each by another reason; a lead that several reasons protect is still one lead."""
    named, _, _ = sandbox.add(lead("A", "Junk"), lead("B", "Customer"), lead("C", "Junk"))
    keep = {"lead_ids": [named], "status": ["Customer"]}

    report = run_cleanup(match={"created_before_months": 12}, keep=keep).report

    assert report.kept == {"lead_ids": 1, "status": 1, "total": 2}
    assert report.planned == 1


def test_the_organisations_own_keep_view_holds_whatever_the_parameters(
    sandbox: CloseAccount, run_cleanup: RunCleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLOSE_KEEP_SMART_VIEW names a Smart View whose leads no cleanup deletes, even if its author forgets them."""
    ids = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    protected = {
        "type": "and",
        "queries": [{"type": "object_type", "object_type": "lead"}, {"type": "id", "value": ids[1]}],
    }
    view = sandbox.post("/saved_search/", name="Ours", type="lead", s_query={"query": protected})
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", view["name"])

    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert state.report.kept == {"never_delete": 1, "total": 1}
    assert set(sandbox.leads()) == {ids[1], ids[2]}
