"""Limits say how much one run may delete: a number of leads, a share of all leads, and never every lead.

Over a limit a run stops before the first write; it never trims its plan. Only a batch takes part of what matches, since
with one, a person has said which part: the oldest leads.
"""

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

from tasks.report.page import report_page

pytestmark = pytest.mark.server


def test_over_a_limit_a_run_stops_and_never_trims(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The first three of four would be some three that nobody chose."""
    sandbox.add(*(lead(name, "Junk") for name in "ABCD"), lead("E"))

    ended = run_cleanup(match={"status": ["Junk"]}, limits={"max_leads": 3}, dry_run=False)

    assert (ended.name, ended.type) == ("Refused", "FAILED")
    assert "The plan has 4 leads, more than limits.max_leads allows (3)" in ended.message
    assert sandbox.writes() == []


def test_a_dry_run_over_a_limit_shows_by_how_much(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Whoever tries out criteria wants to see what they match, not to be refused."""
    sandbox.add(*(lead(name, "Junk") for name in "ABCD"), lead("E"))

    ended = run_cleanup(match={"status": ["Junk"]}, limits={"max_leads": 3})

    assert (ended.name, ended.type) == ("DryRun", "COMPLETED")
    assert "4 of 5 leads would be deleted, but that is over limits.max_leads" in ended.message
    assert "**limits.max\\_leads: 4, where 3 is allowed**" in report_page(ended.report)
    assert ended.report.model_dump(mode="json")["over_limit"] == [
        {"setting": "limits.max_leads", "allowed": 3, "found": 4}
    ]


def test_a_large_share_of_all_leads_stops_a_run(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A tenth of the organisation, unless told otherwise: more than that is seldom what a cleanup was meant for."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(21)))
    sandbox.add(*(lead(f"other {number}") for number in range(79)))

    ended = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert ended.report.outcome == "refused"
    assert "limits.max_share" in ended.message
    assert sandbox.writes() == []


def test_no_run_deletes_every_lead(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Not even one whose limits allow it."""
    sandbox.add(lead("A", "Junk"), lead("B", "Bad Fit"), lead("C"))

    ended = run_cleanup(match={"created_before_months": 1}, limits={"max_share": 1.0}, dry_run=False)

    assert ended.report.outcome == "refused"
    assert "every lead of the organisation (3)" in ended.message
    assert sandbox.writes() == []


def test_a_batch_takes_the_oldest_and_leaves_the_rest_for_later(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Run by run, a large cleanup gets done in parts of a size that somebody can look at."""
    leads = [lead(f"{n}", "Junk", date_created=f"2021-0{n}-01T00:00:00+00:00") for n in range(1, 6)]
    ids = sandbox.add(*leads, lead("other"))

    first = run_cleanup(match={"status": ["Junk"]}, limits={"batch": 2}, dry_run=False, backup=False)
    left = set(sandbox.leads())
    second = run_cleanup(match={"status": ["Junk"]}, limits={"batch": 3}, dry_run=False, backup=False)

    assert (first.report.planned, second.report.planned) == (2, 3)
    assert left == set(ids[2:])
    assert set(sandbox.leads()) == {ids[-1]}
