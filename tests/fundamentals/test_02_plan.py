"""Before anything is deleted there is a plan: readable criteria become one query, and Close counts its leads.

The query that was counted is, word for word, the query that Close is later given to delete. A plan that isn't the one
that somebody expects stops the run.
"""

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server


def test_the_plan_says_how_many_leads_match_stay_and_go(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """What matches is either kept or planned, so the numbers add up. If they ever don't, the run stops."""
    protected = lead("A", "Junk", opportunities=[{"status_type": "active"}])
    sandbox.add(protected, lead("B", "Junk"), lead("C", "Junk"), lead("D"))

    report = run_cleanup(match={"status": ["Junk"]}).report

    assert (report.total, report.matched, report.kept["total"], report.planned) == (4, 3, 1, 2)


def test_close_is_given_the_query_that_was_planned(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The report shows that query, so that anybody can see afterwards what Close was asked to delete."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    [bulk_delete] = sandbox.get("/bulk_action/delete/")["data"]
    assert bulk_delete["s_query"] == report.s_query


def test_whole_words_only(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Somebody deleted "test" leads for weeks and took every name that contained those four letters."""
    names = ["Testudo", "Protestant Church", "Contest Ltd", "Attestor", "ACME test", "Customer"]
    ids = dict(zip(names, sandbox.add(*map(lead, names)), strict=True))

    state = run_cleanup(match={"name_words": ["test"]}, dry_run=False)

    assert state.report.planned == 1
    assert set(sandbox.leads()) == set(ids.values()) - {ids["ACME test"]}


def test_a_name_that_close_does_not_have_stops_the_run(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A misspelt status would match nothing, or protect nothing. The refusal says what was probably meant."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    ended = run_cleanup(match={"status": ["Jnuk"]}, dry_run=False)

    assert ended.report.outcome == "refused"
    assert "There is no lead status 'Jnuk'; did you mean 'Junk'" in ended.message


def test_another_number_than_expected_stops_the_run(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Say how many leads you have seen planned, and you delete these or nothing."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C", "Junk"), lead("D"))

    ended = run_cleanup(match={"status": ["Junk"]}, expect=4, dry_run=False)

    assert ended.report.outcome == "refused"
    assert "The plan has 3 leads, not 4 as expected" in ended.message
    assert sandbox.writes() == []
